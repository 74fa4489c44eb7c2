import { describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import {
  OperationNotConfirmedError,
  PartitionConflictError,
  PartitionMismatchError,
  QueueUnavailableError,
} from '../../src/errors.js'

import { TaskQueue } from '../../src/index.js'
import { countCopies } from '../../src/keys/keys.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { Answer, FakeCluster, Received } from './fake-cluster.js'
import { fakeCluster, queueOn, workerOn } from './harness.js'

const COPIES = countCopies('fake', 'cluster')
const [FIRST] = COPIES.map(({ key }) => key) as [string]
const ON_A = COPIES.filter(({ slot }) => slot <= 8_191).map(({ key }) => key)

/** Keeps numbers of partitions as real servers do; `count` of each copy that is there. */
function keeps(cluster: FakeCluster, counts: Map<string, number>): void {
  const answer = ({ words, script, keys, args }: Received): Answer | undefined => {
    if (words[0] === 'HGET') return counts.has(words[1] ?? '') ? String(counts.get(words[1] ?? '')) : null
    if (script !== 'open') return undefined
    const key = keys[0] ?? ''
    if (!counts.has(key)) counts.set(key, Number(args[0]))
    return counts.get(key) as number
  }
  cluster.partitions = undefined
  for (const node of [cluster.a, cluster.b]) {
    const { script } = node
    node.script = (received) => script(received) ?? answer(received)
  }
}

const all = (count: number) => new Map(COPIES.map(({ key }) => [key, count]))
const written = (cluster: FakeCluster) =>
  [cluster.a, cluster.b]
    .flatMap((node) => node.calls('open').map(({ keys, atMs }) => ({ key: keys[0] ?? '', atMs })))
    .sort((x, y) => x.atMs - y.atMs)

describe('a queue that is there', () => {
  it('is opened without a write', async () => {
    const cluster = await fakeCluster()
    keeps(cluster, all(2))
    await queueOn(cluster)
    expect(written(cluster)).toEqual([])
    expect([cluster.a, cluster.b].flatMap((node) => node.calls('touch'))).toEqual([])
  })

  it('is opened by whichever copies can be read, when a master is down', async () => {
    const cluster = await fakeCluster()
    keeps(cluster, all(2))
    const more = ON_A.length > COPIES.length / 2 ? cluster.b : cluster.a
    await more.stop()
    const queue = await queueOn(cluster, { partitions: undefined })
    expect((await queue.health()).shards.flatMap(({ partitions }) => partitions)).toHaveLength(2)
    await more.restart()
  })

  it('has missing copies written again, and confirmed', async () => {
    const cluster = await fakeCluster()
    const counts = all(2)
    counts.delete(FIRST)
    counts.delete(ON_A[1] ?? '')
    keeps(cluster, counts)
    await queueOn(cluster)
    await eventually(() => expect(counts.size).toBe(COPIES.length))
    expect(
      written(cluster)
        .map(({ key }) => key)
        .sort(),
    ).toEqual([FIRST, ON_A[1]].sort())
  })

  it('with two different numbers is not opened, and both are named', async () => {
    const cluster = await fakeCluster()
    const counts = all(2)
    counts.set(FIRST, 12)
    keeps(cluster, counts)
    const opening = queueOn(cluster, { partitions: undefined })
    await expect(opening).rejects.toBeInstanceOf(PartitionConflictError)
    await expect(opening).rejects.toThrow(`12 by ${FIRST} on 127.0.0.1:`)
    await expect(opening).rejects.toThrow('2 by shardq:fake:')
    expect(written(cluster)).toEqual([])
  })

  it('of another number than is asked for is not opened, and nothing is written', async () => {
    const cluster = await fakeCluster()
    keeps(cluster, all(12))
    await expect(queueOn(cluster)).rejects.toBeInstanceOf(PartitionMismatchError)
    expect(written(cluster)).toEqual([])
  })

  it('is not taken for new while its first copy cannot be read and the others are missing', async () => {
    const cluster = await fakeCluster()
    keeps(cluster, new Map())
    const first = COPIES[0]?.slot ?? 0
    await (first <= 8_191 ? cluster.a : cluster.b).stop()
    await expect(queueOn(cluster)).rejects.toBeInstanceOf(QueueUnavailableError)
    expect(written(cluster)).toEqual([])
  })

  it('is not said to be missing while its first copy cannot be read, though most of the others are', async () => {
    const cluster = await fakeCluster()
    keeps(cluster, new Map())
    // Almost all slots are B's, and the first copy is A's.
    const names = Array.from({ length: 1_000 }, (_, i) => `fake${i}`)
    const name = names.find((each) => (countCopies(each, 'cluster')[0]?.slot ?? 0) < 800) ?? ''
    cluster.a.claim = { from: 0, to: 799, epoch: 1 }
    cluster.b.claim = { from: 800, to: 16_383, epoch: 2 }
    const connection = { mode: 'cluster', nodes: cluster.seeds, commandTimeoutMs: 150 } as const
    const queue = new TaskQueue(name, { connection, enqueueTimeoutMs: 500 })
    await cluster.a.stop()
    await expect(queue.connectIfThere()).rejects.toBeInstanceOf(QueueUnavailableError)
    expect(written(cluster)).toEqual([])
  })
})

describe('a new queue', () => {
  it('is there when the first copy is safe, and then most of the others', async () => {
    const cluster = await fakeCluster()
    const counts = new Map<string, number>()
    keeps(cluster, counts)
    await queueOn(cluster)
    const order = written(cluster)
    expect(order[0]?.key).toBe(FIRST)
    expect(counts.size).toBeGreaterThan(COPIES.length / 2)
    const firstWait = [cluster.a, cluster.b]
      .flatMap(({ received }) => received)
      .filter(({ words }) => words[0] === 'WAIT')
      .map(({ atMs }) => atMs)
    expect(Math.min(...firstWait)).toBeLessThan(order[1]?.atMs ?? 0)
    await eventually(() => expect(counts.size).toBe(COPIES.length))
  })

  it('whose first copy is not confirmed is not made: nothing is built on it', async () => {
    const cluster = await fakeCluster()
    for (const node of [cluster.a, cluster.b])
      node.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
    keeps(cluster, new Map())
    const opening = queueOn(cluster)
    await expect(opening).rejects.toBeInstanceOf(OperationNotConfirmedError)
    await expect(opening).rejects.toThrow(FIRST)
    expect(new Set(written(cluster).map(({ key }) => key))).toEqual(new Set([FIRST]))
  })

  it('that somebody else makes at the same time has the number of whoever was first', async () => {
    const cluster = await fakeCluster()
    const counts = new Map<string, number>()
    keeps(cluster, counts)
    const opened = await Promise.allSettled([
      queueOn(cluster, { partitions: 2 }),
      queueOn(cluster, { partitions: 3 }),
      queueOn(cluster, { partitions: undefined }),
    ])
    expect(opened.filter(({ status }) => status === 'rejected').length).toBeGreaterThanOrEqual(1)
    for (const each of opened)
      if (each.status === 'rejected') expect(each.reason).toBeInstanceOf(PartitionMismatchError)
    await eventually(() => expect(counts.size).toBe(COPIES.length))
    expect(new Set(counts.values()).size).toBe(1)
  })
})

describe('a client that lives', () => {
  it('writes its number again where a master has come back without it', async () => {
    const cluster = await fakeCluster()
    const counts = all(2)
    keeps(cluster, counts)
    await queueOn(cluster)
    for (const key of ON_A) counts.delete(key)
    cluster.a.hangUp()
    await eventually(() => expect(counts).toEqual(all(2)))
  })

  it('stops when it finds another number', async () => {
    const cluster = await fakeCluster()
    const counts = all(2)
    keeps(cluster, counts)
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1)
    const errors: Error[] = []
    queue.on('error', (error) => errors.push(error))
    for (const key of ON_A) counts.set(key, 12)
    cluster.a.hangUp()
    await eventually(() => expect(errors.map(({ name }) => name)).toContain('PartitionConflictError'))
    await expect(queue.enqueue('note', 2)).rejects.toBeInstanceOf(PartitionConflictError)
    await expect(queue.dequeue({ blockMs: 0 })).rejects.toBeInstanceOf(PartitionConflictError)
    await eventually(() => expect(errors).toHaveLength(1))
  })

  it('leaves a worker that says so: degraded, and an error a second at most', async () => {
    const cluster = await fakeCluster()
    const counts = all(2)
    keeps(cluster, counts)
    const workers = [await workerOn(cluster, {}), await workerOn(cluster, {})]
    const errors = workers.map((worker) => {
      const names: string[] = []
      worker.on('error', ({ name }) => names.push(name))
      return names
    })
    expect(workers.map((worker) => worker.health().status)).toEqual(['healthy', 'healthy'])
    await workers[0]?.queue.disconnect()
    for (const key of ON_A) counts.set(key, 12)
    cluster.a.hangUp()
    await eventually(() =>
      expect(errors.map((names) => names.at(-1))).toEqual(['NotConnectedError', 'PartitionConflictError']),
    )
    for (const names of errors) names.length = 0
    await sleep(1_500)
    expect(workers.map((worker) => worker.health().status)).toEqual(['degraded', 'degraded'])
    for (const names of errors) expect(names.length).toBeLessThanOrEqual(2)
    await Promise.all(workers.map((worker) => worker.stop()))
    expect(workers.map((worker) => worker.health().status)).toEqual(['stopped', 'stopped'])
  })
})
