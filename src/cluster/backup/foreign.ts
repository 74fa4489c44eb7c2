import { RestoreRefusedError } from '../errors.js'
import type { NodeLink } from '../link.js'
import { OPERATION_KEY, ownKeysOn, RESTORE_KEY } from '../own-keys.js'
import type { Target } from './target.js'

/** What a restore writes down itself. No backup is taken of a cluster with something else there (standing.ts), unless it was there for a moment. */
const NEEDED = [OPERATION_KEY, RESTORE_KEY]

/**
 * What has the name of a note of the tools and is none is somebody's, and copied like any other key. It cannot be where the restore needs that name
 * for itself.
 * @returns why the file of this server cannot be restored; null: it can
 */
export async function foreignFault(source: NodeLink): Promise<string | null> {
  const found = (await ownKeysOn(source, NEEDED)).find(({ isNote }) => !isNote)
  return found
    ? `it has ${found.name} as a ${found.type}, which is not from shardq, and a restore needs that name: give it another one in the ` +
        'cluster, and take another backup'
    : null
}

/**
 * Nor can it be where the cluster that is filled has a note of its own.
 * @throws RestoreRefusedError
 */
export async function mustNotClash(target: Target, file: string, source: NodeLink): Promise<void> {
  const notes = await target.notes()
  const found = (await ownKeysOn(source)).find(({ name, isNote }) => !isNote && notes.includes(name))
  if (found)
    throw new RestoreRefusedError(
      `${file}: it has ${found.name} as a ${found.type}, which is not from shardq, and the cluster has a note of shardq there, over which ` +
        'nothing is written; look at it with: shardq cluster fix; or take a cluster that is empty',
    )
}
