import { expect, it } from 'vitest'
import { NotReplicatedError } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { batchesAt, fakeCluster, idsAt, keyFor, type Notes, queueOn, stored, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

/** Eight tasks without a key in one breath: a batch for each master. */
const enqueueEight = (queue: Notes) => Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i))

it('a task that was taken back goes elsewhere under another id, and is acknowledged with that one', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster)
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
  const ids = await Promise.all(enqueueEight(queue))
  const copies = [...idsAt(cluster.a)]
  expect(copies.length).toBeGreaterThan(0)
  expect(ids.filter((id) => copies.includes(id))).toEqual([])
  expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
})

it('a batch that is taken back is not made known to a master that has not heard of it', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster)
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
  await Promise.all(enqueueEight(queue))
  const numbers = batchesAt(cluster.a).map(({ number }) => number)
  for (const { args } of cluster.a.calls('void')) expect(Number(args[0])).toBeLessThan(Math.max(...numbers))
})

it('with nowhere to go, tasks stay as the same batch, and are acknowledged once the replica confirms', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
  let confirming = 0
  for (const node of [cluster.a, cluster.b])
    node.script = ({ words }) => (words[0] === 'WAIT' ? confirming : undefined)
  const enqueued = enqueueEight(queue)
  await eventually(() => expect(idsAt(cluster.a).size + idsAt(cluster.b).size).toBeGreaterThanOrEqual(8))
  await eventually(async () => expect((await queue.stats()).unconfirmed).toBeGreaterThanOrEqual(8))
  confirming = 1
  const ids = await Promise.all(enqueued)
  const taken = new Set([...voidedAt(cluster.a), ...voidedAt(cluster.b)])
  expect(ids.filter((id) => taken.has(id))).toEqual([])
  for (const node of [cluster.a, cluster.b]) {
    const stored = batchesAt(node).filter(({ number }) => number > 0)
    // Each name has come to a partition in one batch alone.
    const numbers = new Map<string, Set<number>>()
    for (const { ids: names, number } of stored)
      for (const name of names) numbers.set(name, (numbers.get(name) ?? new Set()).add(number))
    expect([...numbers.values()].filter(({ size }) => size > 1)).toEqual([])
  }
})

it('tasks that wait for a replica go to another shard as soon as that one is open', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
  let confirmingAtB = 0
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
  cluster.b.script = ({ words }) => (words[0] === 'WAIT' ? confirmingAtB : undefined)
  const enqueued = enqueueEight(queue)
  // A is the last resort of some of them.
  await eventually(async () => expect((await queue.stats()).unconfirmed).toBeGreaterThanOrEqual(8))
  confirmingAtB = 1
  const ids = await Promise.all(enqueued)
  for (const id of ids) expect(idsAt(cluster.b).has(id)).toBe(true)
  const left = [...idsAt(cluster.a)].filter((id) => !voidedAt(cluster.a).includes(id))
  expect(left).toEqual([])
})

it('a take-back whose reply does not come is not followed by the same batch: what it removed would be lost', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 2_000 })
  let lost = false
  cluster.a.script = (call) => {
    if (call.words[0] === 'WAIT') return lost ? undefined : 0
    if (call.script !== 'void' || lost) return undefined
    lost = true
    cluster.a.carryOut(call)
    return 'hang up'
  }
  const ids = await Promise.all(enqueueEight(queue))
  expect(lost).toBe(true)
  const first = [...idsAt(cluster.a)]
  for (const id of ids) expect(idsAt(cluster.b).has(id) || !first.includes(id)).toBe(true)
  const again = batchesAt(cluster.a).filter(({ number, ids: names }) => number > 0 && names.length > 0)
  expect(new Set(again.map(({ number }) => number)).size).toBe(again.length)
})

it('what was taken back, and no replica has heard of, is taken back once more at the next master', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster)
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? 0 : undefined)
  await Promise.all(enqueueEight(queue))
  const copies = voidedAt(cluster.a)
  expect(copies.length).toBeGreaterThan(0)
  expect(voidedAt(cluster.b).filter((id) => copies.includes(id))).toEqual([])
  cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
  cluster.a.claim = undefined
  await eventually(() => expect(voidedAt(cluster.b)).toEqual(expect.arrayContaining(copies)))
})

it('what replicas have confirmed since is not taken back again', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
  let confirming = 0
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' ? confirming : undefined)
  await Promise.all(enqueueEight(queue))
  const copies = voidedAt(cluster.a)
  expect(copies.length).toBeGreaterThan(0)
  confirming = 1
  await queue.enqueue('note', 9, { partitionKey: keyFor(0) })
  cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
  cluster.a.claim = undefined
  await queue.enqueue('note', 10, { partitionKey: keyFor(0) })
  expect(voidedAt(cluster.b).filter((id) => copies.includes(id))).toEqual([])
})

it('a partition that may have a task under its id does not get it again in another batch', async () => {
  const cluster = await fakeCluster()
  cluster.partitions = 4
  const queue = await queueOn(cluster, { partitions: 4, enqueueTimeoutMs: 1_500 })
  cluster.a.script = ({ script }) => (script === 'enqueue' ? 'hang up' : undefined)
  // So that there is nowhere else to go.
  cluster.b.script = ({ script }) => (script === 'enqueue' ? new FakeError('OOM') : undefined)
  await expect(queue.enqueue('note', 1)).rejects.toBeInstanceOf(NotReplicatedError)
  const numbers = new Map<string, Set<number>>()
  for (const call of cluster.a.calls('enqueue')) {
    const { number, ids } = stored(call)
    for (const id of ids) {
      const where = `${call.keys[5]} ${id}`
      numbers.set(where, (numbers.get(where) ?? new Set()).add(number))
    }
  }
  expect(numbers.size).toBeGreaterThan(1)
  expect([...numbers].filter(([, each]) => each.size > 1)).toEqual([])
})
