import { type Address, type LinkOptions, withLink } from '../link.js'
import { isForbidden } from '../replies.js'
import { settingOf } from '../settings-read.js'
import { OwedNotes } from './notes.js'
import { settleOwed } from './settle.js'

export interface Loan {
  readonly operation: string
  readonly nodes: readonly (Address & { readonly id: string })[]
  readonly setting: string
  readonly value: string
}

/**
 * Has nodes work with another setting as long as `run` takes. It is written down before what it was; so whoever has the lock next gives it
 * back when we are killed, or do not get through to a node. A node that does not let us use CONFIG stays as it is.
 */
export async function withLent<Result>(
  seeds: readonly Address[],
  { operation, nodes, setting, value }: Loan,
  access: LinkOptions,
  run: () => Promise<Result>,
): Promise<Result> {
  const notes = new OwedNotes(seeds, access)
  const ids: string[] = []
  try {
    for (const node of nodes) {
      await withLink(node, access, async (link) => {
        const was = await settingOf(link, setting)
        if (was === value || was === '') return
        ids.push(node.id)
        await notes.write({
          kind: 'lent',
          operation,
          id: node.id,
          settings: { [setting]: { was, lent: value } },
        })
        await link.text('CONFIG', 'SET', setting, value)
      }).catch((error: Error) => {
        if (!isForbidden(error)) throw error
      })
    }
    return await run()
  } finally {
    notes.close()
    await settleOwed(seeds, access, ({ kind, id }) => kind === 'lent' && ids.includes(id))
  }
}
