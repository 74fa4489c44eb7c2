import { describe, expect, it } from 'vitest'
import { NotReplicatedError, type QueueOptions, type TaskQueue } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { FakeCluster, FakeNode } from './fake-cluster.js'
import { fakeCluster, keyFor, queueOn, voidedAt } from './harness.js'

const LARGE = 'x'.repeat(2 * 1024 * 1024)
const OPTIONS: Partial<QueueOptions> = { maxPayloadBytes: 4 * 1024 * 1024, enqueueTimeoutMs: 3_000 }

/** Calls that brought the task itself, and not only a question. */
const bringing = (node: FakeNode) =>
  node.calls('enqueue').filter(({ args }) => args.some((arg) => arg.length > LARGE.length))

async function queueOf(cluster: FakeCluster): Promise<TaskQueue<{ note: unknown }>> {
  return (await queueOn(cluster, OPTIONS)) as TaskQueue<{ note: unknown }>
}

describe.each([
  ['without a key', {}],
  ['with a key', { partitionKey: keyFor(0) }],
])('a large task %s whose replica is late', (_, options) => {
  it('stays with its shard, and is not sent a second time', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOf(cluster)
    let confirming = 0
    for (const node of [cluster.a, cluster.b])
      node.script = ({ words }) => (words[0] === 'WAIT' ? confirming : undefined)
    const enqueued = queue.enqueue('note', LARGE, options)
    await eventually(async () => expect((await queue.stats()).unconfirmed).toBe(1))
    confirming = 1
    await enqueued
    expect(bringing(cluster.a).length + bringing(cluster.b).length).toBe(1)
    expect([...voidedAt(cluster.a), ...voidedAt(cluster.b)]).toEqual([])
  })

  it('is sent again to a master that does not know it', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOf(cluster)
    let confirming = 0
    for (const node of [cluster.a, cluster.b])
      node.script = ({ words, script, args }) => {
        if (words[0] === 'WAIT') return confirming
        // As a replica answers that was promoted and has not heard of it.
        return confirming === 1 && script === 'enqueue' && args[1] === '0' ? ['repeat', 0, ''] : undefined
      }
    const enqueued = queue.enqueue('note', LARGE, options)
    await eventually(async () => expect((await queue.stats()).unconfirmed).toBe(1))
    confirming = 1
    await enqueued
    expect(bringing(cluster.a).length + bringing(cluster.b).length).toBe(2)
    // By the same number: a copy that is there after all makes it a repeat.
    const numbers = [...bringing(cluster.a), ...bringing(cluster.b)].map(
      ({ args }) => `${args[1]} ${args[14]}`,
    )
    expect(new Set(numbers).size).toBe(1)
  })
})

it('a large task without a reply goes to one other partition, and no further', async () => {
  const cluster = await fakeCluster()
  cluster.partitions = 6
  const queue = (await queueOn(cluster, { ...OPTIONS, partitions: 6 })) as TaskQueue<{ note: unknown }>
  for (const node of [cluster.a, cluster.b])
    node.script = (call) => (bringing(node).includes(call) ? 'silence' : undefined)
  await expect(queue.enqueue('note', LARGE)).rejects.toBeInstanceOf(NotReplicatedError)
  const producers = [...bringing(cluster.a), ...bringing(cluster.b)].map(({ keys }) => keys[5])
  expect(new Set(producers).size).toBe(2)
})
