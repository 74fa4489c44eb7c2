import { readdir, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import {
  type ConnectionOptions,
  NotReplicatedError,
  QueueUnavailableError,
  TaskQueue,
} from '../../src/index.js'
import { makePartitions, type Partition, partitionOfKey } from '../../src/keys/partitions.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { ownCluster } from '../helpers/own-cluster.js'

interface Shard {
  readonly master: number
  readonly replica: number
  readonly partitions: readonly Partition[]
  /** A partition key of the shard. */
  readonly key: string
}

const open: TaskQueue<{ note: number }>[] = []

afterEach(async () => {
  await Promise.all(open.splice(0).map((queue) => queue.disconnect()))
})

async function connected(
  name: string,
  cluster: LocalCluster,
  options: object = {},
): Promise<TaskQueue<{ note: number }>> {
  const connection: ConnectionOptions = { mode: 'cluster', nodes: cluster.seeds }
  const queue = new TaskQueue<{ note: number }>(name, { connection, ...options })
  open.push(queue)
  await queue.connect()
  return queue
}

async function shardsOf(cluster: LocalCluster, queue: string): Promise<Shard[]> {
  const { nodes } = await cluster.status()
  const partitions = makePartitions(queue, 12)
  return nodes
    .filter((node) => node.role === 'master')
    .map((node) => {
      const mine = partitions.filter(({ slot }) => node.slots.some(([a, b]) => a <= slot && slot <= b))
      let key = 0
      while (!mine.some(({ index }) => index === partitionOfKey(`k${key}`, 12))) key++
      return {
        master: node.port,
        replica: nodes.find((other) => other.masterId === node.id)?.port ?? 0,
        partitions: mine,
        key: `k${key}`,
      }
    })
}

/** Fills the kernel's buffers between a master and its frozen replica, which hold megabytes: what follows stays behind. */
async function fillReplicationLink(shard: Shard): Promise<void> {
  const link = await NodeLink.open({ host: '127.0.0.1', port: shard.master })
  const key = shard.partitions[0]?.keys.probe ?? ''
  for (let i = 0; i < 24; i++) await link.text('SET', key, 'x'.repeat(1_000_000), 'PX', 60_000)
  link.close()
}

async function takeAll(queue: TaskQueue<{ note: number }>, quietMs: number): Promise<number[]> {
  const notes: number[] = []
  for (;;) {
    const deliveries = await queue.dequeue({ count: 100, blockMs: quietMs })
    if (deliveries.length === 0) return notes.sort((a, b) => a - b)
    notes.push(...deliveries.map((one) => one.data))
    await Promise.all(deliveries.map((one) => one.complete()))
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('what was confirmed', () => {
  it('is stored again on a master that was restarted before its replica was promoted, and has lost its last writes', async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
    const queue = await connected('restarted', cluster)
    const [shard] = await shardsOf(cluster, 'restarted')
    if (!shard) throw new Error('no shard')
    const node = cluster.nodes.find(({ port }) => port === shard.master)
    const folder = join(node?.dir ?? '', 'appendonlydir')
    const log = join(folder, (await readdir(folder)).find((name) => name.endsWith('.incr.aof')) ?? '')
    const { size } = await stat(log)
    await Promise.all(
      numbers(60).map((i) => queue.enqueue('note', i, i % 2 === 0 ? {} : { partitionKey: shard.key })),
    )
    await cluster.killNode(shard.master)
    expect((await stat(log)).size).toBeGreaterThan(size)
    await truncate(log, size)
    await cluster.restartNode(shard.master)
    // Nobody enqueues any more: the producer has to find out by itself.
    await eventually(async () => {
      const { ready, scheduled } = await queue.depth()
      // Those with a key that come late are due a little later: who holds one may take it back before.
      expect(ready.medium + scheduled).toBe(60)
    }, 10_000)
    expect((await queue.stats()).restored).toBeGreaterThanOrEqual(30)
    expect(await takeAll(queue, 2_500)).toEqual(numbers(60))
  }, 60_000)

  it('that is, a completion, is acknowledged again on a promoted replica that never heard of it', async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '2000' } })
    const queue = await connected('completed', cluster)
    const [shard] = await shardsOf(cluster, 'completed')
    if (!shard) throw new Error('no shard')
    for (const i of numbers(20)) await queue.enqueue('note', i, { partitionKey: shard.key })
    const deliveries = await queue.dequeue({ count: 20 })
    expect(deliveries).toHaveLength(20)
    await deliveries[0]?.checkpoint('half', 1)
    await cluster.freezeNode(shard.replica)
    await fillReplicationLink(shard)
    let settled = 0
    const completing = deliveries.map(async (one) => {
      await one.complete()
      settled++
    })
    await sleep(400)
    // The master has forgotten them, and nobody else has heard of it.
    expect(settled).toBe(0)
    await cluster.killNode(shard.master)
    await cluster.resumeNode(shard.replica)
    await Promise.all(completing)
    expect(settled).toBe(20)
    const { ready, active, scheduled, dead } = await queue.depth()
    expect([ready.medium, active, scheduled, dead]).toEqual([0, 0, 0, 0])
  }, 60_000)

  it('and a task with a key is not handed out before a replica knows, so that nobody else can get it', async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '3000' } })
    const queue = await connected('handed', cluster)
    const [shard] = await shardsOf(cluster, 'handed')
    if (!shard) throw new Error('no shard')
    for (const i of numbers(10)) await queue.enqueue('note', i, { partitionKey: shard.key })
    await cluster.freezeNode(shard.replica)
    await fillReplicationLink(shard)
    expect(await queue.dequeue({ count: 10, blockMs: 500 })).toEqual([])
    expect((await queue.depth()).active).toBe(0)
    await cluster.resumeNode(shard.replica)
    expect(await takeAll(queue, 1_000)).toEqual(numbers(10))
    expect((await queue.stats()).recovered).toBe(0)
  }, 60_000)
})

describe('without a replica that confirms', () => {
  it("rejects, naming the way out, or accepts with onShortfall: 'accept'", async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '1500' } })
    const careful = await connected('short', cluster, { enqueueTimeoutMs: 1_000 })
    const bold = await connected('short', cluster, { enqueueTimeoutMs: 1_000, onShortfall: 'accept' })
    const { nodes } = await cluster.status()
    const replicas = nodes.filter((node) => node.role === 'replica')
    for (const { port } of replicas) await cluster.freezeNode(port)
    const first = await careful.enqueue('note', 1).catch((error: unknown) => error)
    expect(first).toBeInstanceOf(NotReplicatedError)
    // By now the shards are known to be short: nothing is stored.
    const second = await careful.enqueue('note', 2).catch((error: unknown) => error)
    expect(second).toBeInstanceOf(QueueUnavailableError)
    expect((second as Error).message).toContain("onShortfall: 'accept'")
    const keyed = await careful.enqueue('note', 3, { partitionKey: 'a' }).catch((error: unknown) => error)
    expect((keyed as Error).message).toContain("onShortfall: 'accept'")
    for (const i of [4, 5, 6]) await bold.enqueue('note', i)
    await bold.enqueue('note', 7, { partitionKey: 'a' })
    expect((await bold.stats()).accepted).toBe(4)
    // Once the cluster itself counts no replica, the masters' word is all there is, and tasks flow again.
    expect((await takeAll(bold, 4_000)).filter((note) => note > 3)).toEqual([4, 5, 6, 7])
    for (const { port } of replicas) await cluster.resumeNode(port)
  }, 60_000)
})

describe('a frozen master that thaws', () => {
  it('cannot bring a copy back that was voided meanwhile', async () => {
    const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
    const queue = await connected('thawed', cluster)
    const frozen = (await shardsOf(cluster, 'thawed'))[0]
    if (!frozen) throw new Error('no shard')
    // One by one, so that every partition's socket is open and has its turn.
    for (const i of numbers(24)) await queue.enqueue('note', i)
    await cluster.freezeNode(frozen.master)
    await Promise.all(numbers(60).map((i) => queue.enqueue('note', 100 + i)))
    await cluster.resumeNode(frozen.master)
    await eventually(async () => {
      const { ready } = await queue.depth()
      expect(ready.medium).toBeGreaterThanOrEqual(84)
    })
    await sleep(300)
    expect(await takeAll(queue, 1_000)).toEqual([...numbers(24), ...numbers(60).map((i) => 100 + i)])
  }, 60_000)
})
