import { expect, inject, it } from 'vitest'
import { sizeOf } from '../../src/scripts/bundles.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))

it('gives each of 3 masters exactly 4 of the 12 partitions of any queue', async () => {
  for (let i = 0; i < 5; i++) {
    const queue = await harness.queue()
    const { shards } = await queue.health()
    expect(shards.map((shard) => shard.partitions.length)).toEqual([4, 4, 4])
  }
})

it('loads each master within 2% of the mean with 200,000 tasks without a key', async () => {
  // A shard whose replica is late would be left out for a while, which is right, and not what is looked at here.
  const queue = await harness.queue({ confirmTimeoutMs: 5_000 })
  const total = 200_000
  await queue.enqueueMany(Array.from({ length: total }, () => ({ type: 'note' as const, data: 1 })))
  const waiting = await waitingByMaster(queue.name)
  expect(waiting.reduce((sum, count) => sum + count, 0)).toBe(total)
  const mean = total / waiting.length
  console.log(`tasks by master: ${waiting.join(', ')}; mean ${mean.toFixed(0)}`)
  for (const count of waiting) expect(Math.abs(count - mean) / mean).toBeLessThanOrEqual(0.02)
})

it('spreads single enqueues just as evenly', async () => {
  const queue = await harness.queue()
  for (let i = 0; i < 1_200; i++) await queue.enqueue('note', i)
  const { shards } = await queue.health()
  const waiting = await waitingByMaster(queue.name)
  expect(shards).toHaveLength(3)
  for (const count of waiting) expect(Math.abs(count - 400) / 400).toBeLessThanOrEqual(0.02)
})

/** Ready tasks of medium priority on each master. */
async function waitingByMaster(queue: string): Promise<number[]> {
  return Promise.all(
    (await harness.masters()).map(async (master) => {
      const lists = await master.keys(`shardq:${queue}:*:ready:medium`)
      const names = await Promise.all(lists.map((list) => master.lrange(list, 0, -1)))
      return names.flat().reduce((sum, name) => sum + sizeOf(name), 0)
    }),
  )
}
