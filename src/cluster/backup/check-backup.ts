import { realpath } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BackupFolderError, InterruptedError } from '../errors.js'
import { type BackupManifest, readBackup, type ShardFile, sha256 } from './manifest.js'
import { RdbReader } from './rdb.js'
import { identityOf, openRegular, readRegular } from './regular.js'

const CHANGED = 'its SHA-256 is another: it was changed'

/** A backup of which every file has been read to its end. */
export interface CheckedBackup {
  /** Where it really is: a link to it may be pointed elsewhere meanwhile. */
  readonly folder: string
  readonly manifest: BackupManifest
  /** What is wrong. Nothing: each file is what was backed up. */
  readonly faults: readonly string[]
  /** Which files these were, by their names in the manifest. */
  readonly identities: ReadonlyMap<string, string>
}

/** @throws BackupFolderError when there is no whole backup */
export async function checkBackup(from: string, signal?: AbortSignal): Promise<CheckedBackup> {
  const folder = await realFolder(resolve(from))
  const manifest = await readBackup(folder)
  const faults: string[] = []
  const identities = new Map<string, string>()
  const { users, usersSha256 } = manifest
  if (users !== null && usersSha256 !== undefined) {
    const fault = await readRegular(join(folder, users)).then(
      (found) => (sha256(found) === usersSha256 ? null : CHANGED),
      whyUnreadable,
    )
    if (fault !== null) faults.push(`${users}: ${fault}`)
  }
  for (const shard of manifest.shards) {
    const found = await lookAt(join(folder, shard.file), shard, signal)
    if ('fault' in found) faults.push(`${shard.file}: ${found.fault}`)
    else identities.set(shard.file, found.identity)
  }
  return { folder, manifest, faults, identities }
}

/**
 * To be called before and after a server has read a file by its name, which may be hours after it was checked.
 * @throws BackupFolderError
 */
export async function mustBeAsChecked(
  { folder, identities }: CheckedBackup,
  { file }: ShardFile,
): Promise<void> {
  const fault = await identityOf(join(folder, file)).then(
    (identity) => (identity === identities.get(file) ? null : REPLACED),
    whyUnreadable,
  )
  if (fault !== null) throw new BackupFolderError(folder, [`${file}: ${fault}`])
}

const REPLACED =
  'it was changed, or another was put in its place, after it was checked; have nothing write into this folder, and run it again'

async function lookAt(
  path: string,
  shard: ShardFile,
  signal?: AbortSignal,
): Promise<{ readonly identity: string } | { readonly fault: string }> {
  try {
    const file = await openRegular(path)
    try {
      // Before it is read: what is written meanwhile changes it.
      const identity = await identityOf(file)
      const { size } = await file.stat()
      if (size !== shard.bytes)
        return { fault: `it has ${size} bytes, and was backed up with ${shard.bytes}` }
      const rdb = new RdbReader()
      for await (const chunk of file.createReadStream({ highWaterMark: 1024 * 1024, autoClose: false })) {
        if (signal?.aborted) throw new InterruptedError('the check')
        rdb.push(chunk as Buffer)
      }
      const facts = rdb.end()
      if (facts.sha256 !== shard.sha256) return { fault: CHANGED }
      if (facts.keys !== shard.keys)
        return { fault: `it says ${facts.keys} keys, and was backed up with ${shard.keys}` }
      return { identity }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof InterruptedError) throw error
    return { fault: whyUnreadable(error as Error) }
  }
}

const whyUnreadable = (error: NodeJS.ErrnoException) =>
  error.code === 'ENOENT' ? 'it is not there' : error.message

/** Of one that is not there, whoever reads it tells what is missing. */
async function realFolder(path: string): Promise<string> {
  return realpath(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return path
    throw new BackupFolderError(path, [error.message], { cause: error })
  })
}
