/**
 * Finds a Redis 8 server, for the tests that need one beside Redis 7: what a newer server writes, reads and forgets. SHARDQ_REDIS8_PATH
 * names one. Where there is none, Debian's packages of trixie are fetched into `.shardq/redis8`, with the libraries that they were built for,
 * and run by the loader of these.
 */
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { findServer, type RedisServer } from '../src/cluster/find-server.js'
import { isRunnable, ownSource, reasonOf, unpackPackages } from './debian-packages.js'

const CACHE = fileURLToPath(new URL('../.shardq/redis8', import.meta.url))
const SUITE = 'trixie'
const PACKAGES = [
  ...[
    'redis-server',
    'redis-tools',
    'libc6',
    'libssl3t64',
    'libsystemd0',
    'libjemalloc2',
    'liblzf1',
    'libatomic1',
  ],
  ...[
    'libstdc++6',
    'libgcc-s1',
    'libcap2',
    'liblzma5',
    'libzstd1',
    'liblz4-1',
    'libgcrypt20',
    'libgpg-error0',
  ],
  ...['zlib1g', 'libhiredis1.1.0'],
]
const LIBRARIES = 'usr/lib/x86_64-linux-gnu'
const BY_HAND = 'install Redis 8 (https://redis.io/downloads) and set SHARDQ_REDIS8_PATH to its redis-server'

/** @throws Error where there is none and none can be fetched, with what to do */
export async function ensureRedis8(env: NodeJS.ProcessEnv = process.env): Promise<RedisServer> {
  const path = env.SHARDQ_REDIS8_PATH || join(CACHE, 'redis-server')
  if (!env.SHARDQ_REDIS8_PATH && !(await isRunnable(path))) {
    try {
      await fetchInto(CACHE, env)
    } catch (error) {
      throw new Error(`no Redis 8 server here, and ${reasonOf(error)}; ${BY_HAND}`, { cause: error })
    }
  }
  const server = await findServer({ redisPath: path })
  if (server.flavour === 'Redis' && Number(server.version.split('.')[0]) >= 8) return server
  throw new Error(`${path} is ${server.flavour} ${server.version}; ${BY_HAND}`)
}

/** Two at once do not meet: each renames what it has unpacked. */
async function fetchInto(cache: string, env: NodeJS.ProcessEnv): Promise<void> {
  const { uri } = await ownSource({ env })
  await mkdir(join(cache, '..'), { recursive: true })
  const unpacked = await mkdtemp(join(cache, '..', 'redis8-new-'))
  try {
    await unpackPackages({ uri, suite: SUITE }, PACKAGES, unpacked, env)
    const script = join(unpacked, 'redis-server')
    // Beside it, wherever that is: the folder gets its name when it is whole.
    const at = '$(dirname "$(readlink -f "$0")")'
    await writeFile(
      script,
      `#!/bin/sh\nexec "${at}/${LIBRARIES}/ld-linux-x86-64.so.2" --library-path "${at}/${LIBRARIES}" "${at}/usr/bin/redis-server" "$@"\n`,
    )
    await chmod(script, 0o755)
    await rename(unpacked, cache).catch(async (error: Error) => {
      if (!(await isRunnable(join(cache, 'redis-server')))) throw error
    })
  } finally {
    await rm(unpacked, { recursive: true, force: true })
  }
}
