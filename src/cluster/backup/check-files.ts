import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { InterruptedError } from '../errors.js'
import { type BackupManifest, type ShardFile, sha256 } from './manifest.js'
import { RdbReader } from './rdb.js'
import { readRegular, sizeOfFile } from './regular.js'

const CHANGED = 'its SHA-256 is another: it was changed'

/** Reads every file to its end. @returns what is wrong; nothing: each is what was backed up */
export async function checkFiles(
  folder: string,
  { shards, users, usersSha256 }: BackupManifest,
  signal?: AbortSignal,
): Promise<string[]> {
  const faults: string[] = []
  if (users !== null && usersSha256 !== undefined) {
    const fault = await readRegular(join(folder, users)).then(
      (found) => (sha256(found) === usersSha256 ? null : CHANGED),
      whyUnreadable,
    )
    if (fault !== null) faults.push(`${users}: ${fault}`)
  }
  for (const shard of shards) {
    const fault = await faultOf(join(folder, shard.file), shard, signal)
    if (fault !== null) faults.push(`${shard.file}: ${fault}`)
  }
  return faults
}

async function faultOf(path: string, shard: ShardFile, signal?: AbortSignal): Promise<string | null> {
  try {
    const size = await sizeOfFile(path)
    if (size !== shard.bytes) return `it has ${size} bytes, and was backed up with ${shard.bytes}`
    const rdb = new RdbReader()
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      if (signal?.aborted) throw new InterruptedError('the check')
      rdb.push(chunk as Buffer)
    }
    const facts = rdb.end()
    if (facts.sha256 !== shard.sha256) return CHANGED
    if (facts.keys !== shard.keys) return `it says ${facts.keys} keys, and was backed up with ${shard.keys}`
    return null
  } catch (error) {
    if (error instanceof InterruptedError) throw error
    return whyUnreadable(error as Error)
  }
}

const whyUnreadable = (error: NodeJS.ErrnoException) =>
  error.code === 'ENOENT' ? 'it is not there' : error.message
