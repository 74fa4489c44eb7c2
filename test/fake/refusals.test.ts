import { describe, expect, it } from 'vitest'
import {
  AuthenticationError,
  NotReplicatedError,
  QueueFullError,
  QueueUnavailableError,
} from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { FakeNode, Received } from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, queueOn, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

/** Replies that say that nothing was carried out, as redis/src/cluster.c and server.c write them. */
const CERTAIN = [
  'TRYAGAIN Multiple keys request during rehashing of slot',
  'CLUSTERDOWN The cluster is down',
  'CLUSTERDOWN Hash slot not served',
  "READONLY You can't write against a read only replica.",
  'LOADING Redis is loading the dataset in memory',
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  "OOM command not allowed when used memory > 'maxmemory'.",
  'NOREPLICAS Not enough good replicas to write.',
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
]

/** Has a node refuse to store, until the test allows it. */
function refuse(node: FakeNode, text: string): { allow(): void } {
  let refusing = true
  node.script = ({ script }) => (refusing && script === 'enqueue' ? new FakeError(text) : undefined)
  return {
    allow: () => {
      refusing = false
    },
  }
}

describe.each(CERTAIN)('%s', (text) => {
  it('sends a task without a key elsewhere at once, with no copy to be removed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    refuse(cluster.a, text)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    expect(batchesAt(cluster.a).length).toBeGreaterThan(0)
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    expect(voidedAt(cluster.a)).toEqual([])
    expect((await queue.stats()).reroutes).toBeGreaterThan(0)
  })

  it('sends a task with a key to its partition again, as the same batch of the same producer', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const refusal = refuse(cluster.a, text)
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await eventually(() => expect(batchesAt(cluster.a).length).toBeGreaterThan(1))
    refusal.allow()
    const id = await enqueued
    const batches = batchesAt(cluster.a)
    expect(new Set(batches.map(({ producer, number }) => `${producer} ${number}`)).size).toBe(1)
    expect(batches.every(({ ids }) => ids.length === 1 && ids[0] === id)).toBe(true)
    expect(batchesAt(cluster.b)).toEqual([])
  })
})

describe('a refusal by every shard', () => {
  it('because of memory is told as QueueFullError, and nothing is stored', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 300 })
    for (const node of [cluster.a, cluster.b])
      refuse(node, "OOM command not allowed when used memory > 'maxmemory'.")
    await expect(queue.enqueue('note', 1)).rejects.toBeInstanceOf(QueueFullError)
  })

  it('because of anything else is told as QueueUnavailableError, with the reason', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 300 })
    for (const node of [cluster.a, cluster.b]) refuse(node, 'CLUSTERDOWN The cluster is down')
    const refusal = queue.enqueue('note', 1)
    await expect(refusal).rejects.toBeInstanceOf(QueueUnavailableError)
    await expect(refusal).rejects.toThrow('CLUSTERDOWN')
  })

  it('is not tried in a tight loop', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 500 })
    for (const node of [cluster.a, cluster.b]) refuse(node, 'CLUSTERDOWN The cluster is down')
    await queue.enqueue('note', 1).catch(() => undefined)
    expect(batchesAt(cluster.a).length + batchesAt(cluster.b).length).toBeLessThan(60)
  })
})

describe('what will not pass by itself', () => {
  it.each([
    'NOPERM this user has no permissions',
    'NOAUTH Authentication required.',
    'WRONGPASS invalid username',
  ])('%s is told at once as AuthenticationError', async (text) => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    for (const node of [cluster.a, cluster.b]) refuse(node, text)
    await expect(queue.enqueue('note', 1)).rejects.toBeInstanceOf(AuthenticationError)
    await expect(queue.enqueue('note', 1, { partitionKey: keyFor(0) })).rejects.toBeInstanceOf(
      AuthenticationError,
    )
  })

  it('an error that nobody knows is told at once, with its words, and not that nothing is stored', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    for (const node of [cluster.a, cluster.b]) refuse(node, 'ERR something else')
    const startedMs = performance.now()
    await expect(queue.enqueue('note', 1)).rejects.toThrow(/may be stored.*ERR something else/)
    const keyed = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await expect(keyed).rejects.toThrow('ERR something else')
    await expect(keyed).rejects.toBeInstanceOf(NotReplicatedError)
    // After enqueueTimeoutMs the caller would get the same words.
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })

  it('a reply that the script does not give is told at once, and not taken for a success', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    for (const node of [cluster.a, cluster.b])
      node.script = ({ script }) => (script === 'enqueue' ? ['perhaps'] : undefined)
    const startedMs = performance.now()
    await expect(queue.enqueue('note', 1)).rejects.toThrow('perhaps')
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })
})

describe('NOSCRIPT', () => {
  it('has the same call sent with the text of the script', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const forgetful = ({ words, script }: Received) =>
      script === 'enqueue' && words[0] === 'EVALSHA'
        ? new FakeError('NOSCRIPT No matching script.')
        : undefined
    for (const node of [cluster.a, cluster.b]) node.script = forgetful
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const [first, second] = cluster.a.calls('enqueue')
    expect([first?.words[0], second?.words[0]]).toEqual(['EVALSHA', 'EVAL'])
    expect(second?.args).toEqual(first?.args)
    expect(second?.args.join('\n')).toContain(id)
  })
})

describe('stored, and no replica confirms it', () => {
  it('a task without a key goes elsewhere, and the first copy is removed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const copies = [...idsAt(cluster.a)]
    expect(copies.length).toBeGreaterThan(0)
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    await eventually(() => expect(voidedAt(cluster.a).sort()).toEqual(copies.sort()))
    // A new master that does not know the batch has to take what is left of it, and not for a repeat.
    const last = Math.max(...batchesAt(cluster.a).map(({ number }) => number))
    expect(Number(cluster.a.calls('void').at(-1)?.args[0])).toBe(last - 1)
  })

  it('a task with a key waits for the replica, as the same batch', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    let confirming = 0
    cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? confirming : undefined)
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await eventually(() => expect(cluster.a.received.some(({ words }) => words[0] === 'WAIT')).toBe(true))
    confirming = 1
    await enqueued
    expect(new Set(batchesAt(cluster.a).map(({ number }) => number)).size).toBe(1)
  })

  it('nowhere: the caller learns that it is stored but unconfirmed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 300 })
    for (const node of [cluster.a, cluster.b])
      node.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
    await expect(queue.enqueue('note', 1)).rejects.toBeInstanceOf(NotReplicatedError)
  })
})
