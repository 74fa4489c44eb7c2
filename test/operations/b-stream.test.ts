import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { ensureValkey } from '../../scripts/find-valkey.js'
import { backupCluster, type LocalCluster, restoreCluster } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { isSameStream } from '../../src/cluster/stream-content.js'
import { TaskQueue } from '../../src/index.js'
import { tell, tellAll } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

const NEWER = { 'Redis 8': ensureRedis8, Valkey: ensureValkey }

/** Of the node that serves it. */
async function at(cluster: LocalCluster, key: string): Promise<number> {
  const { nodes } = await cluster.status()
  const slot = Number(await tell(nodes[0]?.port ?? 0, 'CLUSTER', 'KEYSLOT', key))
  return nodes.find(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to))?.port ?? 0
}

/** One of each type, a stream with a group that has read and not acknowledged, and a queue. */
async function fill(cluster: LocalCluster): Promise<void> {
  const stream = await at(cluster, 'st')
  for (let i = 0; i < 2_500; i++) await tellAll(stream, [['XADD', 'st', `1-${i + 1}`, 'field', `value ${i}`]])
  await tellAll(stream, [
    ['XGROUP', 'CREATE', 'st', 'group', '0'],
    ['XREADGROUP', 'GROUP', 'group', 'somebody', 'COUNT', 1_200, 'STREAMS', 'st', '>'],
    ['XACK', 'st', 'group', '1-3', '1-5'],
    ['XDEL', 'st', '1-7'],
  ])
  const values: [string, ...(string | number)[]][] = [
    ['SET', 'te', 'xt', 'PX', 3_600_000],
    ['RPUSH', 'li', 'a', 'b'],
    ['SADD', 'se', ...Array.from({ length: 600 }, (_, i) => `member ${i}`)],
    ['HSET', 'ha', 'a', 1, 'b', 2],
    ['ZADD', 'zs', 1, 'a', '-inf', 'b'],
    ['PFADD', 'hl', 'a', 'b', 'c'],
  ]
  for (const [command, key = '', ...args] of values)
    await tell(await at(cluster, String(key)), command, key, ...args)
  const queue = new TaskQueue<{ t: number }>('q', { connection: cluster.connection, durability: 'async' })
  await queue.connect()
  await queue.enqueueMany(Array.from({ length: 300 }, (_, i) => ({ type: 't', data: i })))
  await queue.disconnect()
}

it.each(Object.entries(NEWER))(
  'a stream of an older server is restored into %s, read by either',
  async (_, ensure) => {
    const { path: redisPath } = await ensure()
    const old = await ownCluster({ replicasPerMaster: 0 })
    await fill(old)
    const folder = join(await tempDir(), 'backup')
    await backupCluster(old.seeds, folder)
    // Read by the server that wrote it, which is what is on the path; and by the one that gets it.
    for (const reader of [{}, { redisPath }]) {
      const newer = await ownCluster({ replicasPerMaster: 0, redisPath })
      const { keys } = await restoreCluster(folder, newer.seeds, reader)
      expect(keys).toBeGreaterThan(7)
      const port = await at(newer, 'st')
      expect(await tell(port, 'XLEN', 'st')).toBe('2499')
      expect(await tell(port, 'XPENDING', 'st', 'group')).toContain('1198')
    }
  },
  120_000,
)

it('two streams are the same only if entries, groups, consumers and what is pending are', async () => {
  const { path: redisPath } = await ensureRedis8()
  const [old, newer] = await Promise.all([
    ownCluster({ replicasPerMaster: 0 }),
    ownCluster({ replicasPerMaster: 0, redisPath }),
  ])
  const ports = await Promise.all([at(old, 'st'), at(newer, 'st')])
  const links = await Promise.all(
    ports.map((port) => NodeLink.open({ host: '127.0.0.1', port }, { timeoutMs: 5_000 })),
  )
  const isSame = () => {
    const [a, b] = links.map((link) => ({ link, asking: false }))
    if (!a || !b) throw new Error('no links')
    return isSameStream(a, b, Buffer.from('st'))
  }
  const both = (...command: [string, ...(string | number)[]]) =>
    Promise.all(links.map((link) => link.text(...command)))
  const one = (...command: [string, ...(string | number)[]]) => links[1]?.text(...command)
  for (let i = 1; i <= 1_500; i++) await both('XADD', 'st', `1-${i}`, 'field', i)
  await both('XGROUP', 'CREATE', 'st', 'g', '0')
  await both('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', 1_100, 'STREAMS', 'st', '>')
  expect(await isSame()).toBe(true)
  for (const change of [
    ['XACK', 'st', 'g', '1-1050'],
    ['XADD', 'st', '1-1501', 'field', 1_501],
    ['XDEL', 'st', '1-1400'],
    ['XGROUP', 'CREATECONSUMER', 'st', 'g', 'another'],
    ['XGROUP', 'CREATE', 'st', 'second', '0'],
    ['XCLAIM', 'st', 'g', 'another', 0, '1-1'],
  ] as [string, ...(string | number)[]][]) {
    await one(...change)
    expect([change[0], await isSame()]).toEqual([change[0], false])
    await links[0]?.text(...change)
    expect([change[0], await isSame()]).toEqual([change[0], true])
  }
  for (const link of links) link.close()
}, 60_000)
