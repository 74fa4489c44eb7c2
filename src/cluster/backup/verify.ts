import { BackupFolderError } from '../errors.js'
import { findServer } from '../find-server.js'
import { sweepHelpers } from '../helper-server.js'
import { notesOn } from '../own-keys.js'
import { checkBackup } from './check-backup.js'
import { faultsAmong, type Holder, holderOf } from './libraries.js'
import { lookAtKeys, withLoaded } from './look.js'
import type { BackupManifest } from './manifest.js'

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
  /** Notes of the tools among the keys, about the nodes of that cluster; a restore leaves them out too. */
  readonly leftOut: readonly string[]
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
 * is in one of them. Then the proof: a server reads each, and has as many keys as the manifest says, each of a slot of that file; and
 * the functions of all of them can be in one cluster.
 * @throws BackupFolderError when there is no whole backup; ServerNotFoundError, ServerTooOldError, InvalidOptionError
 */
export async function verifyBackup(from: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  const backup = await checkBackup(from, options.signal)
  const { folder, manifest } = backup
  const faults = [...backup.faults]
  const files: VerifiedFile[] = []
  if (faults.length === 0 && options.load !== false) {
    const server = await findServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
    await sweepHelpers()
    const holders: Holder[] = []
    for (const shard of manifest.shards) {
      try {
        const file = await withLoaded(server, backup, shard, options.signal, async (loaded) => {
          await lookAtKeys(folder, shard, loaded.link)
          holders.push(await holderOf(shard.file, loaded.link))
          return {
            file: shard.file,
            keys: loaded.loaded,
            expired: loaded.expired,
            leftOut: await notesOn(loaded.link),
          }
        })
        options.onFile?.(file)
        files.push(file)
      } catch (error) {
        if (!(error instanceof BackupFolderError)) throw error
        faults.push(...error.faults)
      }
    }
    faults.push(...faultsAmong(holders))
  }
  return { folder, manifest, faults, files }
}
