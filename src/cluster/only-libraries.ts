import { shellWord } from '../shell.js'
import { OnlyLibrariesError } from './errors.js'
import { copyFunctions, type Library, librariesOf } from './functions.js'
import { type Address, type LinkOptions, nameOf, withLink } from './link.js'
import { unlessUnreachable } from './move/opinions.js'
import { redisCli } from './redis-cli.js'
import { isForbidden, type NodeView } from './replies.js'

/** Libraries of functions that would be lost with a node. */
export interface OnlyLibraries {
  readonly names: readonly string[]
  /** What it has, and who has something else under the same name. */
  readonly what: string
  /** What to type. */
  readonly remedy: string
}

type Libraries = ReadonlyMap<string, Library>

interface Holder {
  readonly node: Address
  readonly libraries: Libraries
}

/**
 * Which libraries of functions a node has that none of the others has just so. They are data as keys are, but belong to no slot: nothing moves them.
 * Costs one FUNCTION LIST, and of the others only where there are libraries.
 * @returns undefined: none, or it does not let us see them
 */
export async function onlyLibraries(
  node: Address,
  others: readonly Address[],
  options: LinkOptions,
): Promise<OnlyLibraries | undefined> {
  const own = await seenOn(node, options)
  if (own === undefined || own.size === 0) return undefined
  // Whoever does not say what it has, counts as one that has nothing.
  const holders = (
    await Promise.all(others.map(async (other) => ({ node: other, libraries: await seenOn(other, options) })))
  ).filter((each): each is Holder => each.libraries !== undefined)
  const isSame = ({ libraries }: Holder, name: string) =>
    libraries.get(name)?.code.equals(own.get(name)?.code ?? Buffer.alloc(0)) === true
  const names = [...own.keys()].filter((name) => !holders.some((holder) => isSame(holder, name)))
  if (names.length === 0) return undefined
  const differing = holders.filter((holder) =>
    [...own.keys()].some((name) => holder.libraries.has(name) && !isSame(holder, name)),
  )
  const [taker] = holders.filter((holder) => !differing.includes(holder))
  const cli = (command: string) => redisCli(node, options, command)
  // Of what both have, the code is the same.
  const replace = taker !== undefined && [...own.keys()].some((name) => taker.libraries.has(name))
  // Given to all, with REPLACE, they would go over other code that may be nowhere else.
  const whom = differing.length === 0 ? 'the other masters, each' : nameOf(taker?.node ?? node)
  const look =
    differing.length === 0 && taker ? '' : `see which is right: ${cli('FUNCTION LIST WITHCODE')} - `
  const copy = taker
    ? `give them to ${whom}: ${copyFunctions(node, taker.node, options, { replace })} - `
    : ''
  const deletes = names.map((name) => cli(`FUNCTION DELETE ${shellWord(name)}`)).join(' ; ')
  const rivals =
    differing.length === 0 ? '' : ` (other code on ${differing.map((each) => nameOf(each.node)).join(', ')})`
  return {
    names,
    what: `${names.length === 1 ? 'the library' : 'the libraries'} of functions ${names.map(shellWord).join(', ')}${rivals}`,
    remedy: `${look}${copy}or if nobody calls them: ${deletes}`,
  }
}

/**
 * Masters that serve, but for those that are to go or to be emptied.
 * @param takers ids of masters that are about to get slots, if they have none yet
 */
export const servingWithout = (
  view: readonly NodeView[],
  gone: ReadonlySet<string>,
  takers: ReadonlySet<string> = new Set(),
): NodeView[] =>
  view.filter(
    ({ id, role, slots, flags }) =>
      role === 'master' &&
      (slots.length > 0 || takers.has(id)) &&
      !gone.has(id) &&
      !flags.some((flag) => flag.startsWith('fail')),
  )

/** @throws OnlyLibrariesError */
export async function expectLibrariesElsewhere(
  node: Address,
  others: readonly Address[],
  notDone: OnlyLibrariesError['notDone'],
  options: LinkOptions,
): Promise<void> {
  const only = await onlyLibraries(node, others, options)
  if (only) throw new OnlyLibrariesError(nameOf(node), notDone, only)
}

const seenOn = (node: Address, options: LinkOptions): Promise<Libraries | undefined> =>
  withLink(node, options, (link) => librariesOf(link).catch(unlessForbidden)).catch(unlessUnreachable)

/** A user with few rights, or a hosted server: then nobody can say. */
function unlessForbidden(error: Error): undefined {
  if (!isForbidden(error)) throw error
  return undefined
}
