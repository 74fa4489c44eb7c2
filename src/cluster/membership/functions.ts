import { librariesOf } from '../functions.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'

export interface FunctionsGiven {
  /** Libraries that it has as the others only now. */
  readonly given: readonly string[]
  readonly warnings: readonly string[]
}

/**
 * Gives a new node the libraries of functions (FUNCTION LOAD) that the others have: servers do not spread them, and who calls one would
 * be refused as soon as this node owns a slot. One that it has already, with other code, stays and is a warning.
 * @param member a node that is in the cluster
 */
export async function giveFunctions(
  node: Address,
  member: Address,
  options: LinkOptions,
): Promise<FunctionsGiven> {
  try {
    const wanted = await withLink(member, options, librariesOf)
    if (wanted.size === 0) return { given: [], warnings: [] }
    return await withLink(node, options, async (link) => {
      const has = await librariesOf(link)
      const missing = [...wanted].filter(([name]) => !has.has(name))
      for (const [, { code }] of missing) await link.bytes('FUNCTION', 'LOAD', code)
      const other = [...wanted.keys()].filter(
        (name) => has.get(name)?.code.equals(wanted.get(name)?.code as Buffer) === false,
      )
      const warnings = other.map(
        (name) =>
          `${nameOf(node)} has other code in the library ${name} than the others; it was left as it is`,
      )
      return { given: missing.map(([name]) => name), warnings }
    })
  } catch (error) {
    const why = (error as Error).message
    const warning = `${nameOf(node)} could not be given the functions that the others have (${why}); load them there: FUNCTION LOAD`
    return { given: [], warnings: [warning] }
  }
}
