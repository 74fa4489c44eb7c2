import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { isForbidden } from '../replies.js'
import { settingOf } from '../settings-read.js'
import { unlessNotServed } from './not-served.js'
import { type Lent, type LentSetting, OwedNotes } from './notes.js'
import { giveBack, PATIENCE_MS } from './settle.js'
import { notBack, type Owes } from './unpaid.js'

type Node = Address & { readonly id: string }

export interface Loan {
  readonly operation: string
  readonly nodes: readonly Node[]
  readonly setting: LentSetting
  readonly value: 'yes' | 'no'
  /** The work is done without it, too: a node that does not take it, or notes that cannot be written, are no reason to fail. Default false. */
  readonly optional?: boolean
}

/**
 * Has nodes work with another setting as long as `run` takes, under the lock that the caller has. It is written down before what it was; so
 * whoever has the lock next gives it back when we are killed, or do not get through to a node, which is told (`onUnpaid`). A node that does not
 * let us use CONFIG stays as it is. Price: a note written and confirmed by a replica, and removed again, for each node that has another value.
 */
export async function withLent<Result>(
  seeds: readonly Address[],
  loan: Loan,
  access: LinkOptions & Owes,
  run: () => Promise<Result>,
): Promise<Result> {
  const notes = new OwedNotes(seeds, access, loan.optional ? PATIENCE_MS : undefined)
  const lent: { readonly node: Node; readonly owed: Lent }[] = []
  try {
    for (const node of loan.nodes)
      await lend(node, loan, access, async (owed) => {
        lent.push({ node, owed })
        await notes.write(owed)
      }).catch((error: Error) => {
        if (loan.optional) unlessNotServed(error)
        else if (!isForbidden(error)) throw error
      })
    return await run()
  } finally {
    try {
      for (const { node, owed } of lent) await takeBack(node, owed, notes, access)
    } finally {
      notes.close()
    }
  }
}

async function lend(
  node: Node,
  { operation, setting, value }: Loan,
  access: LinkOptions,
  writeDown: (owed: Lent) => Promise<void>,
): Promise<void> {
  await withLink(node, access, async (link) => {
    const was = await settingOf(link, setting)
    if (was === value || (was !== 'yes' && was !== 'no')) return
    await writeDown({
      kind: 'lent',
      operation,
      id: node.id,
      settings: { [setting]: { was, lent: value } },
    })
    await link.text('CONFIG', 'SET', setting, value)
  })
}

/**
 * Over a connection of its own, opened after that was given up by which it was lent: what was sent there is fenced off, and cannot arrive after
 * this look. What does not get through stays written down, and is told.
 */
async function takeBack(node: Node, owed: Lent, notes: OwedNotes, access: LinkOptions & Owes): Promise<void> {
  const why = await giveBack(node, owed, [], access).then(
    ({ unknown }) => (unknown.length === 0 ? null : `its server refuses ${unknown.join(', ')}`),
    (error: Error) => {
      unlessNotServed(error)
      return error.message
    },
  )
  if (why === null) await notes.clear(owed).catch(unlessNotServed)
  else access.onUnpaid?.(notBack(owed, nameOf(node), why))
}
