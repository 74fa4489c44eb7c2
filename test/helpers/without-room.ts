import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findServer } from '../../src/cluster/index.js'
import { shellWord } from '../../src/shell.js'
import { tempDir } from './temp-dir.js'

const NO_ROOM_KB = 512

/** A server on whose disk no file grows beyond so much. It needs no rights, and no disk that is full for others too. */
export async function serverWithoutRoom(): Promise<string> {
  const path = join(await tempDir(), 'redis-server')
  const { path: real } = await findServer({})
  await writeFile(
    path,
    `#!/bin/sh\ntrap '' XFSZ\nulimit -S -f ${NO_ROOM_KB * 2}\nexec ${shellWord(real)} "$@"\n`,
  )
  await chmod(path, 0o755)
  return path
}
