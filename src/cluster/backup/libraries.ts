import { RestoreRefusedError } from '../errors.js'
import { librariesOf } from '../functions.js'
import type { NodeLink } from '../link.js'
import type { TargetNode } from './target.js'

/**
 * Libraries of functions that masters lack. What is there already under the same name stays, and must be the same.
 * @param source a server that has loaded a file of the backup
 * @throws RestoreRefusedError
 */
export async function missingLibraries(
  nodes: readonly TargetNode[],
  source: NodeLink,
): Promise<{ node: TargetNode; code: Buffer }[]> {
  const missing: { node: TargetNode; code: Buffer }[] = []
  const wanted = await librariesOf(source)
  if (wanted.size === 0) return missing
  for (const node of nodes) {
    const has = await librariesOf(node.link)
    for (const [name, code] of wanted) {
      const there = has.get(name)
      if (there === undefined) missing.push({ node, code })
      else if (!there.equals(code))
        throw new RestoreRefusedError(
          `${node.name} has another library of functions named ${name} than the backup, and nothing is written over it; ` +
            `if that of the backup is wanted: FUNCTION DELETE ${name} there, and restore again`,
        )
    }
  }
  return missing
}
