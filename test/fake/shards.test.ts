import { describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { Answer, FakeNode } from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, type Notes, queueOn, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

/** Less than the 200 ms of docs/protocol.md, since timers and sockets are not exact. */
const LEFT_ALONE_MS = 150

/** The states that the queue tells of a node, in order. */
function statesOf(queue: Notes, node: FakeNode): string[] {
  const states: string[] = []
  queue.on('shard', (shard) => {
    if (shard.node.endsWith(`:${node.port}`)) states.push(shard.state)
  })
  return states
}

/** Enqueues tasks without a key, one after the other, until `check` holds. */
async function enqueueUntil(queue: Notes, check: () => void): Promise<string[]> {
  const ids: string[] = []
  await eventually(async () => {
    ids.push(await queue.enqueue('note', ids.length))
    check()
  })
  return ids
}

describe.each([
  "OOM command not allowed when used memory > 'maxmemory'.",
  'NOREPLICAS Not enough good replicas to write.',
  'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
])('%s', (text) => {
  it('has the shard left alone for a while, then tried, and used again when it takes', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const states = statesOf(queue, cluster.a)
    let refusing = true
    cluster.a.script = ({ script }) => (refusing && script === 'enqueue' ? new FakeError(text) : undefined)
    await enqueueUntil(queue, () => expect(batchesAt(cluster.a).length).toBeGreaterThanOrEqual(3))
    const triedAtMs = cluster.a.calls('enqueue').map(({ atMs }) => atMs)
    const gapsMs = triedAtMs.slice(1).map((atMs, i) => atMs - (triedAtMs[i] ?? 0))
    expect(Math.min(...gapsMs)).toBeGreaterThan(LEFT_ALONE_MS)
    expect(states).toContain('full')
    refusing = false
    const tried = batchesAt(cluster.a).length
    await enqueueUntil(queue, () => expect(batchesAt(cluster.a).length).toBeGreaterThan(tried + 1))
    expect(states.at(-1)).toBe('open')
  })
})

/** Ways in which a replica fails to confirm, besides its silence (the 0 of refusals.test.ts). */
const NOT_CONFIRMED: { name: string; answer: Answer }[] = [
  {
    name: 'UNBLOCKED, since the master has become a replica',
    answer: new FakeError(
      'UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)',
    ),
  },
  {
    name: 'an error, since it is a replica',
    answer: new FakeError('ERR WAIT cannot be used with replica instances.'),
  },
  { name: 'the end of the connection', answer: 'hang up' },
  { name: 'nothing', answer: 'silence' },
  { name: 'garbage', answer: 'one' },
]

describe.each(NOT_CONFIRMED)('WAIT answered with $name', ({ answer }) => {
  it('is no confirmation: a task without a key goes elsewhere, and its first copy is removed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    let confirming = false
    cluster.a.script = ({ words }) => (words[0] === 'WAIT' && !confirming ? answer : undefined)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const copies = [...idsAt(cluster.a)]
    expect(copies.length).toBeGreaterThan(0)
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    confirming = true
    await eventually(() => expect(voidedAt(cluster.a).sort()).toEqual(copies.sort()))
  })

  it('is no confirmation: a task with a key is sent again as the same batch until there is one', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
    let confirming = false
    cluster.a.script = ({ words }) => (words[0] === 'WAIT' && !confirming ? answer : undefined)
    let told = false
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) }).finally(() => {
      told = true
    })
    // The second WAIT is of the gate, which tries the shard before any task is sent there.
    const waits = () => cluster.a.received.filter(({ words }) => words[0] === 'WAIT').length
    await eventually(() => expect(waits()).toBeGreaterThan(1))
    expect(told).toBe(false)
    confirming = true
    const id = await enqueued
    const batches = batchesAt(cluster.a)
    expect(new Set(batches.map(({ producer, number, ids }) => `${producer} ${number} ${ids}`)).size).toBe(1)
    expect(batches[0]?.ids).toEqual([id])
    expect(batchesAt(cluster.b)).toEqual([])
  })
})

describe('a shard whose replica does not confirm', () => {
  it('takes no task, with a key or without, until a write of our own is confirmed there', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    const states = statesOf(queue, cluster.a)
    let confirming = 0
    cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? confirming : undefined)
    await enqueueUntil(queue, () => expect(states).toContain('short'))
    const sent = batchesAt(cluster.a).length
    const keyed = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const probes = () => cluster.a.calls('touch').length
    const probed = probes()
    await enqueueUntil(queue, () => expect(probes()).toBeGreaterThan(probed + 1))
    expect(batchesAt(cluster.a).length).toBe(sent)
    confirming = 1
    const id = await keyed
    expect(idsAt(cluster.a).has(id)).toBe(true)
    await enqueueUntil(queue, () => expect(batchesAt(cluster.a).length).toBeGreaterThan(sent + 1))
    expect(states.at(-1)).toBe('open')
  })

  it("is enough where all are like that, with onShortfall: 'accept'", async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { onShortfall: 'accept' })
    for (const node of [cluster.a, cluster.b])
      node.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
    const loose = await queue.enqueue('note', 1)
    const keyed = await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    expect(idsAt(cluster.a).has(keyed)).toBe(true)
    expect([...idsAt(cluster.a), ...idsAt(cluster.b)]).toContain(loose)
    expect((await queue.stats()).accepted).toBeGreaterThanOrEqual(2)
  })
})

describe('a master that refuses connections', () => {
  it('has tasks without a key sent elsewhere, and nothing is there to be removed when it is back', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    await cluster.a.stop()
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    await cluster.a.restart()
    await enqueueUntil(queue, () => expect(batchesAt(cluster.a).length).toBeGreaterThan(0))
    expect(voidedAt(cluster.a)).toEqual([])
  })

  it('gets a task with a key when it is up again', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    const states = statesOf(queue, cluster.a)
    await cluster.a.stop()
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await eventually(() => expect(states).toContain('down'))
    await cluster.a.restart()
    const id = await enqueued
    expect([...idsAt(cluster.a)]).toEqual([id])
    expect(batchesAt(cluster.b)).toEqual([])
  })

  it('loses the slot to a node with a newer epoch, which gets the task with a key', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    await cluster.a.stop()
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
    cluster.a.claim = undefined
    expect([...idsAt(cluster.b)]).toEqual([])
    const id = await enqueued
    expect([...idsAt(cluster.b)]).toEqual([id])
  })
})

describe('a connection that ends while nothing is under way', () => {
  it('costs no task and makes no second copy', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const before = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    cluster.a.hangUp()
    const after = await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    const ids = batchesAt(cluster.a).flatMap((batch) => batch.ids)
    expect(ids).toEqual([before, after])
    expect(voidedAt(cluster.a)).toEqual([])
  })

  it('has what was confirmed stored again, if the master has forgotten it meanwhile', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const [first] = batchesAt(cluster.a)
    // A batch without tasks, numbered 0, is how the producer asks what is remembered of it.
    cluster.a.script = ({ script, args }) =>
      script === 'enqueue' && args[1] === '0' ? ['repeat', 0] : undefined
    cluster.a.hangUp()
    await eventually(async () => expect((await queue.stats()).restored).toBe(1))
    const again = batchesAt(cluster.a).filter(({ ids }) => ids.includes(id))
    expect(again.length).toBe(2)
    expect(again[1]?.number).toBeGreaterThan(first?.number ?? 0)
  })
})

describe('a producer that the partition has forgotten', () => {
  it('does not store again what was confirmed long ago', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const key = keyFor(0)
    const id = await queue.enqueue('note', 1, { partitionKey: key })
    // Longer than a master can be without what it has confirmed (recent.ts).
    await sleep(3_100)
    cluster.a.script = ({ script }) => (script === 'enqueue' ? ['stored', 0] : undefined)
    await queue.enqueue('note', 2, { partitionKey: key })
    await queue.enqueue('note', 3, { partitionKey: key })
    expect(batchesAt(cluster.a).filter(({ ids }) => ids.includes(id)).length).toBe(1)
  })
})

describe('a call that removes copies', () => {
  it.each([
    'CLUSTERDOWN The cluster is down',
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
  ])('is made again after %s', async (text) => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    let lost = false
    let refusals = 0
    cluster.a.script = ({ script }) => {
      if (script === 'enqueue' && !lost) {
        lost = true
        return 'hang up'
      }
      return script === 'void' && ++refusals <= 3 ? new FakeError(text) : undefined
    }
    await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const uncertain = batchesAt(cluster.a)[0]?.ids ?? []
    expect(uncertain.length).toBeGreaterThan(0)
    await eventually(async () => expect((await queue.stats()).voided).toBe(uncertain.length))
    expect(refusals).toBeGreaterThan(3)
    expect([...new Set(voidedAt(cluster.a))].sort()).toEqual([...uncertain].sort())
  })
})
