/**
 * Finds a Redis 8 server, for the tests that need one beside Redis 7: what a newer server writes, reads and forgets. SHARDQ_REDIS8_PATH
 * names one. Where there is none, Debian's is fetched into `.shardq/redis8`.
 */
import { fileURLToPath } from 'node:url'
import { findServer, type RedisServer } from '../src/cluster/find-server.js'
import { isRunnable, reasonOf } from './debian-packages.js'
import { fetchServer, serverIn, type TrixieServer } from './trixie-server.js'

const CACHE = fileURLToPath(new URL('../.shardq/redis8', import.meta.url))
const SERVER: TrixieServer = { program: 'redis-server', packages: ['redis-server', 'redis-tools'] }
const BY_HAND = 'install Redis 8 (https://redis.io/downloads) and set SHARDQ_REDIS8_PATH to its redis-server'

/** @throws Error where there is none and none can be fetched, with what to do */
export async function ensureRedis8(env: NodeJS.ProcessEnv = process.env): Promise<RedisServer> {
  const path = env.SHARDQ_REDIS8_PATH || serverIn(CACHE, SERVER)
  if (!env.SHARDQ_REDIS8_PATH && !(await isRunnable(path))) {
    try {
      await fetchServer(SERVER, CACHE, { env })
    } catch (error) {
      throw new Error(`no Redis 8 server here, and ${reasonOf(error)}; ${BY_HAND}`, { cause: error })
    }
  }
  const server = await findServer({ redisPath: path })
  if (server.flavour === 'Redis' && Number(server.version.split('.')[0]) >= 8) return server
  throw new Error(`${path} is ${server.flavour} ${server.version}; ${BY_HAND}`)
}
