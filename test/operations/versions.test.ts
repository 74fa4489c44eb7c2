import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { ensureValkey } from '../../scripts/find-valkey.js'
import {
  backupCluster,
  ensureServer,
  type LocalCluster,
  RestoreRefusedError,
  restoreCluster,
} from '../../src/cluster/index.js'
import { RESTORE_KEY } from '../../src/cluster/own-keys.js'
import { TaskQueue } from '../../src/index.js'
import { contentsOf } from '../helpers/contents.js'
import { owns, tell } from '../helpers/nodes.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'

/** Each with the RDB format that it writes: into one of a lower number nothing can be restored. */
const SERVERS = {
  'Redis 7.0': { ensure: () => ensureServer(), format: 10, hasFieldTimes: false },
  'Redis 8.0': { ensure: ensureRedis8, format: 12, hasFieldTimes: true },
  'Valkey 8.1': { ensure: ensureValkey, format: 11, hasFieldTimes: false },
} as const
type Name = keyof typeof SERVERS
const NAMES = Object.keys(SERVERS) as Name[]
const SMALL = { replicasPerMaster: 0 }
const DAY_MS = 86_400_000

interface Source {
  readonly cluster: LocalCluster
  readonly folder: string
  readonly contents: ReadonlyMap<string, string>
}
const sources = new Map<Name, Source>()
const disposals: (() => Promise<void>)[] = []
const pathOf = async (name: Name) => (await SERVERS[name].ensure()).path

/** Keys of every type, times to live, functions, and a queue. */
async function fill(cluster: LocalCluster, hasFieldTimes: boolean): Promise<void> {
  const { nodes } = await cluster.status()
  const at = async (key: string) => {
    const slot = Number(await tell(nodes[0]?.port ?? 0, 'CLUSTER', 'KEYSLOT', key))
    return nodes.find((node) => owns(node, slot))?.port ?? 0
  }
  const many = Array.from({ length: 700 }, (_, i) => i)
  const commands: [string, string, ...(string | number)[]][] = [
    ['SET', 'text', 'x'.repeat(2_000), 'PX', DAY_MS],
    ['SET', 'number', 7],
    ['PFADD', 'log log', ...many],
    ['SETBIT', 'bits', 9_000, 1],
    ['RPUSH', 'list', ...many],
    ['SADD', 'set', ...many.map((i) => `member ${i}`)],
    ['SADD', 'numbers', 1, 2, 3],
    ['HSET', 'hash', ...many.flatMap((i) => [`field ${i}`, i])],
    ['HSET', 'small hash', 'a', 1, 'b', 2],
    // Older servers print a third with more digits than newer ones.
    ['ZADD', 'zset', ...many.flatMap((i) => [i / 4, `member ${i}`])],
    ['GEOADD', 'places', 13.36, 38.11, 'Palermo'],
    ['XADD', 'stream', '5-1', 'field', 'value'],
    ['XGROUP', 'stream', 'group', '0'],
  ]
  for (const [command, key, ...args] of commands)
    await (command === 'XGROUP'
      ? tell(await at(key), command, 'CREATE', key, ...args)
      : tell(await at(key), command, key, ...args))
  if (hasFieldTimes) await tell(await at('hash'), 'HPEXPIRE', 'hash', DAY_MS, 'FIELDS', 1, 'field 3')
  for (const { port } of nodes)
    await tell(
      port,
      'FUNCTION',
      'LOAD',
      "#!lua name=app\nredis.register_function('one', function() return 1 end)",
    )
  const queue = new TaskQueue<{ t: number }>('q', { connection: cluster.connection, durability: 'async' })
  await queue.connect()
  await queue.enqueueMany(
    many.map((i) => ({ type: 't' as const, data: i, options: i % 5 === 0 ? { delayMs: DAY_MS } : {} })),
  )
  await queue.disconnect()
}

beforeAll(async () => {
  for (const name of NAMES) {
    const { cluster, dispose } = await openCluster({ ...SMALL, redisPath: await pathOf(name) })
    disposals.push(dispose)
    await fill(cluster, SERVERS[name].hasFieldTimes)
    const dir = await mkdtemp(join(tmpdir(), 'shardq-versions-'))
    disposals.push(() => rm(dir, { recursive: true, force: true }))
    const folder = join(dir, 'backup')
    await backupCluster(cluster.seeds, folder)
    sources.set(name, { cluster, folder, contents: await contentsOf(cluster.seeds) })
  }
}, 120_000)
afterAll(async () => {
  for (const dispose of disposals) await dispose()
})

const source = (name: Name): Source => {
  const found = sources.get(name)
  if (!found) throw new Error(`no backup of ${name}`)
  return found
}

const sizeOf = async ({ seeds }: LocalCluster) =>
  (await Promise.all(seeds.map(({ port }) => tell(port, 'DBSIZE')))).map(Number).reduce((a, b) => a + b, 0)

const PAIRS = NAMES.flatMap((from) => NAMES.map((to) => ({ from, to })))

it.each(PAIRS)(
  'a backup of $from into $to, read by every server',
  async ({ from, to }) => {
    const { folder, contents } = source(from)
    const target = await ownCluster({ ...SMALL, redisPath: await pathOf(to) })
    for (const by of NAMES) {
      const redisPath = await pathOf(by)
      const restored = restoreCluster(folder, target.seeds, { redisPath })
      if (SERVERS[by].format >= SERVERS[from].format && SERVERS[by].format <= SERVERS[to].format) {
        await restored
        const now = await contentsOf(target.seeds)
        expect(now).toEqual(contents)
        expect(await tell(target.seeds[0]?.port ?? 0, 'FUNCTION', 'LIST')).toContain('app')
        for (const { port } of target.seeds) {
          await tell(port, 'FLUSHALL')
          await tell(port, 'FUNCTION', 'FLUSH')
        }
        continue
      }
      const error = await restored.catch((reason) => reason)
      expect(error, `${from} into ${to} by ${by}`).toBeInstanceOf(Error)
      expect(error.message).not.toContain('FLUSHALL')
      // What no server can do is refused for that; what another reader can, with its name.
      if (SERVERS[by].format >= SERVERS[from].format) {
        expect(error).toBeInstanceOf(RestoreRefusedError)
        expect(error.message).toContain(
          SERVERS[from].format > SERVERS[to].format
            ? 'a cluster of that version or a newer one'
            : '--redis-path',
        )
      } else expect(error.message).toMatch(/cannot read it: .*RDB format version/)
      expect(await sizeOf(target), RESTORE_KEY).toBe(0)
      for (const { port } of target.seeds) expect(await tell(port, 'FUNCTION', 'LIST')).toBe('')
    }
  },
  120_000,
)
