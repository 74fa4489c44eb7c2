import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ServerNotFoundError } from '../../../src/cluster/errors.js'
import { findServer } from '../../../src/cluster/find-server.js'
import { InvalidOptionError, ServerTooOldError } from '../../../src/errors.js'
import { tempDir } from '../../helpers/temp-dir.js'

/** Puts a program into a folder that answers --version as a server does. */
async function fakeServer(dir: string, name: string, answer: string): Promise<string> {
  await mkdir(dir, { recursive: true })
  const path = join(dir, name)
  await writeFile(path, `#!/bin/sh\necho "${answer}"\n`)
  await chmod(path, 0o755)
  return path
}

const REDIS_7 = 'Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0'
const REDIS_6 = 'Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0'
const VALKEY_8 = 'Valkey server v=8.0.1 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0'
const VALKEY_7 = 'Valkey server v=7.2.5 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d7c971a948f0'

// The fakes are shell scripts.
describe.skipIf(process.platform === 'win32')('findServer', () => {
  test('takes a folder, an installation with bin, or the binary itself', async () => {
    const dir = await tempDir()
    const path = await fakeServer(join(dir, 'bin'), 'redis-server', REDIS_7)
    for (const redisPath of [path, join(dir, 'bin'), dir]) {
      expect(await findServer({ redisPath, env: {} })).toEqual({ path, flavour: 'Redis', version: '7.0.15' })
    }
  })

  test('takes SHARDQ_REDIS_PATH before PATH, and the option before both', async () => {
    const dir = await tempDir()
    const option = await fakeServer(join(dir, 'option'), 'redis-server', REDIS_7)
    const variable = await fakeServer(join(dir, 'variable'), 'valkey-server', VALKEY_8)
    const onPath = await fakeServer(join(dir, 'path'), 'redis-server', REDIS_7)
    const env = { SHARDQ_REDIS_PATH: variable, PATH: `${join(dir, 'empty')}:${join(dir, 'path')}:/bin` }
    expect((await findServer({ redisPath: option, env })).path).toBe(option)
    expect(await findServer({ env })).toEqual({ path: variable, flavour: 'Valkey', version: '8.0.1' })
    expect((await findServer({ env: { PATH: env.PATH } })).path).toBe(onPath)
  })

  test('passes over servers on PATH that are too old', async () => {
    const dir = await tempDir()
    await fakeServer(join(dir, 'old'), 'redis-server', REDIS_6)
    const path = await fakeServer(join(dir, 'new'), 'valkey-server', VALKEY_8)
    const env = { PATH: `${join(dir, 'old')}:${join(dir, 'new')}` }
    expect((await findServer({ env })).path).toBe(path)
  })

  test.each([
    ['Redis 6.2.14', REDIS_6],
    ['Valkey 7.2.5', VALKEY_7],
  ])('%s alone is too old, and said to be', async (name, answer) => {
    const dir = await tempDir()
    await fakeServer(dir, 'redis-server', answer)
    const found = findServer({ env: { PATH: dir } })
    await expect(found).rejects.toThrow(ServerTooOldError)
    await expect(found).rejects.toThrow(name)
  })

  test('no server at all: the error has the one command to type', async () => {
    const dir = await tempDir()
    await fakeServer(dir, 'apt-get', '')
    const error = await findServer({ env: { PATH: dir } }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(ServerNotFoundError)
    expect(error).toMatchObject({ command: 'sudo apt-get install redis-server', searched: ['PATH'] })
  })

  test('a named path that is missing, empty or something else is an error that names it', async () => {
    const dir = await tempDir()
    const other = await fakeServer(join(dir, 'other'), 'redis-server', 'hello')
    await mkdir(join(dir, 'empty'))
    for (const redisPath of [join(dir, 'missing'), join(dir, 'empty'), other]) {
      const found = findServer({ redisPath, env: {} })
      await expect(found).rejects.toThrow(InvalidOptionError)
      await expect(found).rejects.toThrow(redisPath)
    }
  })
})
