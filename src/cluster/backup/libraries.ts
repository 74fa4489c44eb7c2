import { BackupFolderError, RestoreRefusedError } from '../errors.js'
import { type Library, librariesOf } from '../functions.js'
import { type LinkOptions, type NodeLink, withLink } from '../link.js'
import { isOutOfMemory } from './memory.js'
import type { Standing } from './standing.js'
import type { TargetNode } from './target.js'

/** A file, or a node, with the libraries of functions that it has. */
export interface Holder {
  readonly name: string
  readonly libraries: ReadonlyMap<string, Library>
}

export const holderOf = async (name: string, link: NodeLink): Promise<Holder> => ({
  name,
  libraries: await librariesOf(link),
})

/** Why one server cannot have all that these have: each library and each function only once. Nothing: it can. */
export function clashesOf(holders: readonly Holder[]): string[] {
  const clashes = new Map<string, string>()
  const codes = new Map<string, { holder: string; code: Buffer }>()
  const homes = new Map<string, { holder: string; library: string }>()
  for (const { name: holder, libraries } of holders)
    for (const [library, { code, functions }] of libraries) {
      const known = codes.get(library)
      if (known === undefined) codes.set(library, { holder, code })
      else if (!known.code.equals(code))
        noteOnce(
          clashes,
          library,
          `the library of functions ${library} has other code in ${known.holder} than in ${holder}`,
        )
      for (const name of functions) {
        const home = homes.get(name.toLowerCase())
        if (home === undefined) homes.set(name.toLowerCase(), { holder, library })
        else if (home.library !== library)
          noteOnce(
            clashes,
            `function ${name.toLowerCase()}`,
            `the function ${name} is in the library ${home.library} of ${home.holder} and in the library ${library} of ${holder}`,
          )
      }
    }
  return [...clashes.values()]
}

function noteOnce(clashes: Map<string, string>, of: string, text: string): void {
  if (!clashes.has(of)) clashes.set(of, text)
}

/** What to do about masters that disagree. */
export const MAKE_ONE = 'FUNCTION LOAD REPLACE the right one on each master, and take another backup'

/** What files disagree on, for a restore that is to bring all of it to every master. */
export const faultsAmong = (files: readonly Holder[]): string[] =>
  clashesOf(files).map(
    (clash) =>
      `${clash}, and a cluster has it only once: ${MAKE_ONE}; or restore without functions: --skip-functions`,
  )

/**
 * Gives every node the libraries of functions of the backup that it lacks. What is there already stays, and must go together with them; looked at on
 * all nodes before the first is given any.
 * @throws BackupFolderError, RestoreRefusedError
 */
export async function giveLibraries(
  nodes: readonly TargetNode[],
  files: readonly Holder[],
  folder: string,
): Promise<void> {
  const faults = faultsAmong(files)
  if (faults.length > 0) throw new BackupFolderError(folder, faults)
  const wanted = new Map(files.flatMap(({ libraries }) => [...libraries]))
  if (wanted.size === 0) return
  const missing: { node: TargetNode; name: string; code: Buffer }[] = []
  for (const node of nodes) {
    const there = await holderOf(node.name, node.link)
    const [clash] = clashesOf([there, ...files])
    if (clash !== undefined)
      throw new RestoreRefusedError(
        `${clash}, and nothing is written over what ${node.name} has; if that of the backup is wanted: FUNCTION DELETE there, and restore ` +
          'again; if not: --skip-functions',
      )
    for (const [name, { code }] of wanted) if (!there.libraries.has(name)) missing.push({ node, name, code })
  }
  for (const [i, { node, name, code }] of missing.entries())
    await node.link.bytes('FUNCTION', 'LOAD', code).catch((error: Error) => {
      if (error.name !== 'ReplyError' || isOutOfMemory(error)) throw error
      const given = missing.slice(0, i).map((each) => `${each.name} on ${each.node.name}`)
      throw new RestoreRefusedError(
        `${node.name} does not take the library of functions ${name}: ${error.message}; restore without functions: --skip-functions` +
          (given.length > 0
            ? ` (given by now, and to be removed by FUNCTION DELETE: ${given.join(', ')})`
            : ''),
        { cause: error },
      )
    })
}

/** Where masters do not have the same functions, their files cannot be restored together, and the sooner that is known the better. */
export async function functionWarnings({ owners }: Standing, access: LinkOptions): Promise<string[]> {
  const warnings: string[] = []
  const holders: Holder[] = []
  for (const { name, address } of owners)
    try {
      holders.push(await withLink(address, access, (link) => holderOf(name, link)))
    } catch (error) {
      warnings.push(`whether the masters have the same functions is not known: ${(error as Error).message}`)
    }
  const clashes = clashesOf(holders).map((clash) => `${clash}; a restore refuses that: ${MAKE_ONE}`)
  return [...warnings, ...clashes]
}
