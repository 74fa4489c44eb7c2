import { join } from 'node:path'
import keySlot from 'cluster-key-slot'
import { BackupFolderError, InterruptedError } from '../errors.js'
import type { RedisServer } from '../find-server.js'
import type { NodeLink } from '../link.js'
import { slotsIn } from '../slots.js'
import { isSameVersion } from '../version.js'
import { type CheckedBackup, mustBeAsChecked } from './check-backup.js'
import { foreignFault } from './foreign.js'
import { LoadFault, type LoadServer, loadRdb } from './load-server.js'
import type { BackupManifest, ShardFile } from './manifest.js'

const NAMES_AT_ONCE = 5_000

/**
 * Runs `use` while a server has one file of a backup loaded, and all keys of it.
 * @throws BackupFolderError when no server takes it, it finds another number of keys, or it is not the file that was checked
 */
export async function withLoaded<Result>(
  server: RedisServer,
  backup: CheckedBackup,
  shard: ShardFile,
  signal: AbortSignal | undefined,
  use: (loaded: LoadServer) => Promise<Result>,
): Promise<Result> {
  const { folder } = backup
  const fail = (problem: string, cause?: unknown) =>
    new BackupFolderError(folder, [`${shard.file}: ${problem}`], { cause })
  await mustBeAsChecked(backup, shard)
  let loaded: LoadServer
  try {
    loaded = await loadRdb(server, join(folder, shard.file), { signal })
  } catch (error) {
    if (!(error instanceof LoadFault)) throw error
    await mustBeAsChecked(backup, shard)
    throw fail(
      `${server.flavour} ${server.version} cannot read it: ${error.message}${another(server, backup.manifest)}`,
      error,
    )
  }
  try {
    await mustBeAsChecked(backup, shard)
    const found = loaded.loaded + loaded.expired
    if (found !== shard.keys)
      throw fail(`a server finds ${found} keys in it, where ${shard.keys} were backed up`)
    return await use(loaded)
  } finally {
    await loaded.close()
  }
}

/** A server of another version may well read what this one cannot. */
function another(server: RedisServer, { server: writer }: BackupManifest): string {
  if (isSameVersion(server, writer)) return ''
  return `; it was written by ${writer.flavour} ${writer.version}: name such a server, or a later one, with --redis-path`
}

/**
 * Whether each key of a file is of a slot of that file: one that is not was caught on its way to another node, and may be there twice, or in an
 * old form. Names alone, of which a server gives more than 100,000 a second; in the file itself they stand between values, compressed.
 * @throws BackupFolderError with the first that is not
 */
export async function lookAtKeys(
  folder: string,
  { file, slots }: ShardFile,
  link: NodeLink,
  { signal, onKeys }: { readonly signal?: AbortSignal | undefined; onKeys?: (keys: number) => void } = {},
): Promise<void> {
  const foreign = await foreignFault(link)
  if (foreign !== null) throw new BackupFolderError(folder, [`${file}: ${foreign}`])
  const own = new Set(slotsIn(slots))
  let [cursor, keys] = ['0', 0]
  do {
    if (signal?.aborted) throw new InterruptedError('the check')
    const [next, names] = (await link.bytes('SCAN', cursor, 'COUNT', NAMES_AT_ONCE)) as [Buffer, Buffer[]]
    const stray = names.find((name) => !own.has(keySlot(name)))
    if (stray)
      throw new BackupFolderError(folder, [
        `${file}: it has ${stray} of slot ${keySlot(stray)}, which is not one of its slots; slots moved while it was taken, or files ` +
          'were interchanged: take another backup',
      ])
    keys += names.length
    onKeys?.(keys)
    cursor = String(next)
  } while (cursor !== '0')
}
