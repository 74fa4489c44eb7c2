import { RestoreRefusedError } from '../errors.js'
import type { Address, LinkOptions, NodeLink } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import { isNote, OPERATION_KEY, type OwnKey, ownKeysOn, RESTORE_KEY } from '../own-keys.js'
import type { Target } from './target.js'

/**
 * What has the name of a note of the tools and is none is somebody's, and copied like any other key. It cannot be where a restore needs that name
 * for itself: these it writes down.
 */
const NEEDED = [OPERATION_KEY, RESTORE_KEY]
const CALL_MS = 5_000

const textOf = (name: string, type: string) =>
  `${name} as a ${type}, which is not from shardq, and a restore needs that name: give it another one in the cluster, or if nobody needs ` +
  `it: redis-cli -c DEL ${name}; and take another backup; or restore without it: --skip-taken`

/** What of a cluster that is backed up a restore will not bring. The backup has it, and that is told while the key can be given another name. */
export async function foreignWarnings(
  nodes: readonly Address[],
  access: LinkOptions & { readonly signal?: AbortSignal | undefined },
): Promise<string[]> {
  const link = new KeyLink(nodes, access)
  try {
    const warnings: string[] = []
    for (const name of NEEDED) {
      const type = String(await link.call({ timeoutMs: CALL_MS, signal: access.signal }, 'TYPE', name))
      if (type !== 'none' && !isNote(name, type)) warnings.push(`the cluster has ${textOf(name, type)}`)
    }
    return warnings
  } finally {
    link.close()
  }
}

const foreignOn = async (source: NodeLink): Promise<OwnKey[]> =>
  (await ownKeysOn(source, NEEDED)).filter((key) => !key.isNote)

/** @returns why the file of this server cannot be restored; null: it can */
export async function foreignFault(source: NodeLink): Promise<string | null> {
  const [found] = await foreignOn(source)
  return found ? `it has ${textOf(found.name, found.type)}` : null
}

/** Removes them from the server of our own that reads a file, so that nothing looks for them later. @returns their names */
export async function dropForeign(loaded: NodeLink): Promise<string[]> {
  const names = (await foreignOn(loaded)).map(({ name }) => name)
  for (const name of names) await loaded.reply('DEL', name)
  return names
}

/**
 * Nor can it be where the cluster that is filled has a note of its own.
 * @throws RestoreRefusedError
 */
export async function mustNotClash(target: Target, file: string, source: NodeLink): Promise<void> {
  const notes = await target.notes()
  const found = (await ownKeysOn(source)).find((key) => !key.isNote && notes.includes(key.name))
  if (found)
    throw new RestoreRefusedError(
      `${file}: it has ${found.name} as a ${found.type}, which is not from shardq, and the cluster has a note of shardq there, over which ` +
        'nothing is written; look at it with: shardq cluster fix; or take a cluster that is empty',
    )
}
