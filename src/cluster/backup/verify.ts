import { join, resolve } from 'node:path'
import keySlot from 'cluster-key-slot'
import { BackupFolderError } from '../errors.js'
import { findServer, type RedisServer } from '../find-server.js'
import { slotsIn } from '../slots.js'
import { checkFiles } from './check-files.js'
import { LoadFault, type LoadServer, loadRdb, sweepLeftovers } from './load-server.js'
import { type BackupManifest, readBackup, type ShardFile } from './manifest.js'
import { pagesOf } from './pages.js'

export interface VerifyOptions {
  /** Have a server read each file, and look at each key. Default true; false needs no server on this machine. */
  readonly load?: boolean
  /** The server that reads them: a binary, or the folder that holds one. Default: SHARDQ_REDIS_PATH, then PATH. */
  readonly redisPath?: string
  readonly signal?: AbortSignal
  /** Told of each file, when it has been read by a server. */
  readonly onFile?: (file: VerifiedFile) => void
}

export interface VerifiedFile {
  readonly file: string
  /** Keys that a server has read from it. */
  readonly keys: number
  /** Keys whose time is over by now; a restore leaves them out. */
  readonly expired: number
}

export interface VerifyReport {
  readonly folder: string
  readonly manifest: BackupManifest
  /** What is wrong. Nothing: it can be restored. */
  readonly faults: readonly string[]
  /** Empty where the files were not loaded. */
  readonly files: readonly VerifiedFile[]
}

/**
 * Whether a backup is what was backed up: its manifest, size and SHA-256 and the RDB's own checksum of every file, that each slot
 * is in one of them. Then the proof: a server reads each, and has as many keys as the manifest says, each of a slot of that file.
 * @throws BackupFolderError when there is no whole backup; ServerNotFoundError, ServerTooOldError, InvalidOptionError
 */
export async function verifyBackup(from: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const folder = resolve(from)
  const manifest = await readBackup(folder)
  const faults = await checkFiles(folder, manifest, options.signal)
  const files: VerifiedFile[] = []
  if (faults.length === 0 && options.load !== false) {
    const server = await findServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
    await sweepLeftovers()
    for (const shard of manifest.shards) {
      try {
        const file = await withLoaded(server, folder, shard, options.signal, (loaded) => look(loaded, shard))
        options.onFile?.(file)
        files.push(file)
      } catch (error) {
        if (!(error instanceof BackupFolderError)) throw error
        faults.push(...error.faults)
      }
    }
  }
  return { folder, manifest, faults, files }
}

/**
 * Runs `use` while a server has one file of a backup loaded, and all keys of it.
 * @throws BackupFolderError when no server takes it, or it finds another number of keys
 */
export async function withLoaded<Result>(
  server: RedisServer,
  folder: string,
  shard: ShardFile,
  signal: AbortSignal | undefined,
  use: (loaded: LoadServer) => Promise<Result>,
): Promise<Result> {
  const fail = (problem: string, cause?: unknown) =>
    new BackupFolderError(folder, [`${shard.file}: ${problem}`], { cause })
  let loaded: LoadServer
  try {
    loaded = await loadRdb(server, join(folder, shard.file), { signal })
  } catch (error) {
    if (!(error instanceof LoadFault)) throw error
    throw fail(`${server.flavour} ${server.version} cannot read it: ${error.message}`, error)
  }
  try {
    const found = loaded.loaded + loaded.expired
    if (found !== shard.keys)
      throw fail(`a server finds ${found} keys in it, where ${shard.keys} were backed up`)
    return await use(loaded)
  } finally {
    await loaded.close()
  }
}

async function look({ link, loaded, expired }: LoadServer, shard: ShardFile): Promise<VerifiedFile> {
  const own = new Set(slotsIn(shard.slots))
  for await (const keys of pagesOf(link, { bigKeyBytes: 0 })) {
    const stray = keys.find(({ name }) => !own.has(keySlot(name)))
    if (stray)
      throw new BackupFolderError(shard.file, [
        `${shard.file}: it has ${stray.name} of slot ${keySlot(stray.name)}, which is not one of its slots`,
      ])
  }
  return { file: shard.file, keys: loaded, expired }
}
