import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, inject, it } from 'vitest'
import type { Delivery } from '../../src/index.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

describe('a task whose handler extends it to less than the worker’s lease', () => {
  it('is run once, also with a key, however busy the queue is', async () => {
    const queue = await harness.queue({ partitions: 1 })
    let starts = 0
    let ended = false
    const note = async (task: Delivery) => {
      starts++
      await task.extend(500)
      await sleep(1_800)
      ended = true
    }
    for (let i = 0; i < 2; i++)
      await harness.worker(queue.name, { add: () => undefined, note }, { leaseMs: 30_000 })
    await queue.enqueue('note', 1, { partitionKey: 'k' })
    // Every reply tells of leases that have run out.
    while (!ended) {
      await queue.enqueue('add', { a: 1, b: 2 })
      await sleep(20)
    }
    expect(starts).toBe(1)
  })
})

describe('a lease that is made shorter while nothing else happens', () => {
  it('is given out again by another consumer that waits, once it has run out', async () => {
    const queue = await harness.queue({ partitions: 1 })
    const other = await harness.queue({ partitions: 1 }, queue.name)
    const waiting = other.dequeue({ blockMs: 10_000, leaseMs: 30_000 })
    await queue.enqueue('note', 1)
    const first = await waiting
    const again = queue.dequeue({ blockMs: 10_000, leaseMs: 30_000 })
    // Both have seen that there is a lease of 30 s, and nothing else.
    await sleep(300)
    await first[0]?.extend(1_000)
    const extendedMs = performance.now()
    await other.disconnect()
    const [second] = await again
    expect(second).toMatchObject({ id: first[0]?.id, attempt: 2 })
    const tookMs = performance.now() - extendedMs
    expect(tookMs).toBeGreaterThan(900)
    expect(tookMs).toBeLessThan(2_500)
    await second?.complete()
  })
})
