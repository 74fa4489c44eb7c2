import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { expect, inject, it, onTestFinished } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import {
  LeaseLostError,
  QueueNotEmptyError,
  QueueNotFoundError,
  TaskQueue,
  Worker,
} from '../../../src/index.js'
import { QUEUES_KEY } from '../../../src/keys/keys.js'
import { openQueue } from '../../../src/queue/open-queue.js'
import { eventually, makeHarness } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'

const cluster = { mode: 'cluster', nodes: inject('cluster').nodes } as const
const harness = makeHarness(() => cluster)

async function useAndDelete(name: string, connection: ConnectionOptions): Promise<void> {
  const results = { ttlMs: 60_000 }
  const queue = new TaskQueue(name, { connection, results })
  await queue.connect()
  await queue.enqueueMany(Array.from({ length: 24 }, (_, i) => ({ type: 'a', data: i })))
  await queue.enqueue('a', 1, { idempotencyKey: 'once', partitionKey: 'p' })
  const worker = new Worker(name, { a: () => 'done' }, { connection, results })
  await worker.start()
  await eventually(() => expect(worker.health().metrics.completed).toBe(25))
  await worker.stop()
  await queue.delete()
}

/** Every key of a server that has to do with one of the queues. */
async function keysOn({ host, port }: { host: string; port: number }, prefix: string): Promise<string[]> {
  const node = new Redis({ host, port, protocol: 2 })
  try {
    const keys = await node.keys('*')
    const names = keys.includes(QUEUES_KEY) && !(await isReplica(node)) ? await node.smembers(QUEUES_KEY) : []
    return [...keys, ...names].filter((key) => key.includes(prefix))
  } finally {
    node.disconnect()
  }
}

async function isReplica(node: Redis): Promise<boolean> {
  return (await node.info('replication')).includes('role:slave')
}

it('of 100 queues that were made, used and deleted, nothing is left on a single server', async () => {
  const [server] = await bareSingle()
  const connection = { mode: 'single', url: `redis://${server.host}:${server.port}` } as const
  for (let round = 0; round < 10; round++)
    await Promise.all(Array.from({ length: 10 }, (_, i) => useAndDelete(`job-${round}-${i}`, connection)))
  const node = new Redis({ ...server, protocol: 2 })
  expect(await node.keys('*')).toEqual([])
  node.disconnect()
})

it('nor on any node of a cluster, replicas among them', async () => {
  const prefix = `t-${randomBytes(5).toString('hex')}`
  await Promise.all(Array.from({ length: 8 }, (_, i) => useAndDelete(`${prefix}-${i}`, cluster)))
  for (const node of cluster.nodes)
    await eventually(async () => expect(await keysOn(node, prefix)).toEqual([]))
})

it('a queue with tasks is left alone, unless forced; its workers hear that their tasks are gone', async () => {
  const queue = await harness.queue({ partitions: 6 })
  const worker = await harness.queue({}, queue.name)
  await queue.enqueueMany(Array.from({ length: 30 }, (_, i) => ({ type: 'note' as const, data: i })))
  await queue.enqueue('note', 'later', { delayMs: 60_000 })
  const [held] = await worker.dequeue()
  const refused = await queue.delete().then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(refused).toBeInstanceOf(QueueNotEmptyError)
  expect((refused as Error).message).toContain('31 tasks (29 ready, 1 active, 1 scheduled)')
  expect(await worker.dequeue({ count: 1 })).toHaveLength(1)
  await queue.delete({ force: true })
  await expect(held?.complete()).rejects.toBeInstanceOf(LeaseLostError)
  await worker.disconnect()
  for (const node of cluster.nodes)
    await eventually(async () => {
      const left = await keysOn(node, queue.name)
      // What a client counts of its own comes back: it was not stopped before, as it should be.
      expect(left.filter((key) => !key.endsWith(':counters'))).toEqual([])
    })
  // Made anew, with another number of partitions.
  const again = await harness.queue({ partitions: 3 }, queue.name)
  await again.enqueue('note', 1)
  expect((await again.depth()).ready.medium).toBe(1)
})

it('keys of others in the same slots stay, however many there are; and what was broken off is repeated', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const { name } = queue
  await queue.enqueueMany(
    Array.from({ length: 1_500 }, (_, i) => ({ type: 'note', data: i, options: { idempotencyKey: `${i}` } })),
  )
  const [master] = await ownersOf(name)
  if (!master) throw new Error('nobody has it')
  const tag = /\{[^}]+\}/.exec((await master.keys(`shardq:${name}:*`))[0] ?? '')?.[0]
  const others = Array.from({ length: 2_500 }, (_, i) => `other-${name}:${tag}:${i}`)
  const pipeline = master.pipeline()
  for (const key of others) pipeline.set(key, '1')
  await pipeline.exec()
  try {
    await queue.delete({ force: true })
    expect(await master.keys(`shardq:${name}:*`)).toEqual([])
    expect(await master.exists(...others)).toBe(others.length)
  } finally {
    await master.unlink(...others)
  }
  // As it stands when the number of partitions was removed, and the name was not.
  const owner = await ownerOfList()
  await owner.sadd(QUEUES_KEY, name)
  await expect(openQueue(name, { connection: cluster })).rejects.toBeInstanceOf(QueueNotFoundError)
  const node = ['--node', `${cluster.nodes[0]?.host}:${cluster.nodes[0]?.port}`]
  const { code, stdout } = await shardq(['queue', 'delete', name, '--yes', '--json', ...node])
  expect({ code, document: JSON.parse(stdout) }).toEqual({
    code: 0,
    document: { queue: name, deleted: true },
  })
  expect(await owner.sismember(QUEUES_KEY, name)).toBe(0)
  const unknown = await shardq(['queue', 'delete', name, '--yes', '--json', ...node])
  expect(unknown.code).toBe(1)
})

it('shardq queue delete asks, refuses and forces', async () => {
  const queue = await harness.queue()
  const { name } = queue
  await queue.enqueue('note', 1)
  const node = ['--node', `${cluster.nodes[0]?.host}:${cluster.nodes[0]?.port}`]
  const unasked = await shardq(['queue', 'delete', name, '--json', ...node])
  expect(JSON.parse(unasked.stdout)).toMatchObject({ error: { option: '--yes' } })
  const full = await shardq(['queue', 'delete', name, '--yes', '--json', ...node])
  expect(JSON.parse(full.stdout)).toMatchObject({ error: { name: 'QueueNotEmptyError' } })
  await queue.disconnect()
  const forced = await shardq(['queue', 'delete', name, '--yes', '--force', ...node])
  expect({ code: forced.code, said: forced.stdout.includes(`${name} is deleted`) }).toEqual({
    code: 0,
    said: true,
  })
  for (const each of cluster.nodes) await eventually(async () => expect(await keysOn(each, name)).toEqual([]))
})

async function ownersOf(name: string): Promise<Redis[]> {
  const masters = await harness.masters()
  const counts = await Promise.all(masters.map((master) => master.keys(`shardq:${name}:*`)))
  return masters.filter((_, i) => (counts[i]?.length ?? 0) > 0)
}

/** The list is there while some queue is on it. */
async function ownerOfList(): Promise<Redis> {
  await harness.queue()
  const masters = await harness.masters()
  return eventually(async () => {
    for (const master of masters) if ((await master.keys(QUEUES_KEY)).length > 0) return master
    throw new Error('no master has the list')
  })
}

async function bareSingle() {
  const { startSingle } = await import('../../../src/cluster.js')
  const single = await startSingle({})
  onTestFinished(() => single.stop())
  return [single] as const
}
