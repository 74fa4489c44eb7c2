import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { InterruptedError } from '../errors.js'
import { type BackupManifest, type ShardFile, sha256 } from './manifest.js'
import { RdbReader } from './rdb.js'

/** Reads every file to its end. @returns what is wrong; nothing: each is what was backed up */
export async function checkFiles(
  folder: string,
  { shards, users, usersSha256 }: BackupManifest,
  signal?: AbortSignal,
): Promise<string[]> {
  const faults: string[] = []
  if (users !== null && usersSha256 !== undefined) {
    const found = await readFile(join(folder, users)).catch(() => null)
    if (found === null) faults.push(`${users}: it is not there`)
    else if (sha256(found) !== usersSha256) faults.push(`${users}: its SHA-256 is another: it was changed`)
  }
  for (const shard of shards) {
    const fault = await faultOf(join(folder, shard.file), shard, signal)
    if (fault !== null) faults.push(`${shard.file}: ${fault}`)
  }
  return faults
}

async function faultOf(path: string, shard: ShardFile, signal?: AbortSignal): Promise<string | null> {
  try {
    const { size } = await stat(path)
    if (size !== shard.bytes) return `it has ${size} bytes, and was backed up with ${shard.bytes}`
    const rdb = new RdbReader()
    for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) {
      if (signal?.aborted) throw new InterruptedError('the check')
      rdb.push(chunk as Buffer)
    }
    const facts = rdb.end()
    if (facts.sha256 !== shard.sha256) return 'its SHA-256 is another: it was changed'
    if (facts.keys !== shard.keys) return `it says ${facts.keys} keys, and was backed up with ${shard.keys}`
    return null
  } catch (error) {
    if (error instanceof InterruptedError) throw error
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'it is not there' : (error as Error).message
  }
}
