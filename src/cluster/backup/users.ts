import { type LinkOptions, withLink } from '../link.js'
import { isForbidden } from '../replies.js'
import type { Owner, Standing } from './standing.js'

export interface SavedUsers {
  /** Of ACL LIST of the first owner that told them; null where we were not allowed to ask any. */
  readonly lines: readonly string[] | null
  readonly warnings: readonly string[]
}

/** @returns why it has to be begun anew: an owner gave no answer, which says nothing of what it would tell */
export async function usersOf(
  { owners }: Standing,
  access: LinkOptions,
): Promise<SavedUsers | { readonly why: string }> {
  const told: { name: string; lines: readonly string[] }[] = []
  const hidden: string[] = []
  const answers = await Promise.all(
    owners.map(async (owner) => ({ name: owner.name, lines: await linesOf(owner, access) })),
  )
  for (const { name, lines } of answers) {
    if (lines instanceof Error) return { why: `${name} did not tell its users: ${lines.message}` }
    if (lines === null) hidden.push(name)
    else told.push({ name, lines })
  }
  const [first, ...others] = told
  const differ = first && others.some(({ lines }) => inOrder(lines) !== inOrder(first.lines))
  return {
    lines: first?.lines ?? null,
    warnings: [
      ...(differ ? [`the nodes do not have the same users; those of ${first.name} are kept`] : []),
      ...(hidden.length > 0 ? [`not allowed to ask ${hidden.join(', ')} for their users (ACL LIST)`] : []),
    ],
  }
}

/** Null where we are not allowed to ask. */
async function linesOf({ address }: Owner, access: LinkOptions): Promise<readonly string[] | null | Error> {
  try {
    return await withLink(address, access, async (link) => (await link.reply('ACL', 'LIST')) as string[])
  } catch (error) {
    return isForbidden(error as Error) ? null : (error as Error)
  }
}

/** Each process lists users and rules in an order of its own. */
const inOrder = (lines: readonly string[]) =>
  lines
    .map((line) => line.split(' ').sort().join(' '))
    .sort()
    .join('\n')
