import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A folder for one test, with a space in its path since users have those; removed when the test finishes. */
export async function tempDir(): Promise<string> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'shardq test-')))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}
