import { expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { QueueNotFoundError } from '../../../src/index.js'
import { openQueue } from '../../../src/queue/open-queue.js'
import { eventually, makeHarness } from './harness.js'

/** Looking at what is next, for a cluster and a single server. */
export function peekBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)

  it('peek shows what is next, the highest priority first, and takes nothing', async () => {
    const queue = await harness.queue()
    await queue.enqueue('note', { n: 'low' }, { priority: 'low' })
    await queue.enqueueMany(Array.from({ length: 40 }, (_, n) => ({ type: 'note' as const, data: { n } })))
    const high = await queue.enqueue('add', { a: 1, b: 2 }, { priority: 'high', maxAttempts: 2 })
    await queue.enqueue('note', 'later', { delayMs: 60_000 })

    const tasks = await queue.peek({ limit: 100 })
    expect(tasks).toHaveLength(42)
    expect(tasks[0]).toMatchObject({
      id: high,
      type: 'add',
      data: { a: 1, b: 2 },
      priority: 'high',
      state: 'ready',
      attempt: 0,
      maxAttempts: 2,
    })
    expect(tasks.at(-1)).toMatchObject({ priority: 'low', data: { n: 'low' } })
    expect(new Set(tasks.map(({ id }) => id)).size).toBe(42)
    expect(await queue.peek({ limit: 3 })).toHaveLength(3)
    expect(await queue.peek({ priority: 'low' })).toHaveLength(1)
    expect((await queue.depth()).ready).toEqual({ high: 1, medium: 40, low: 1 })
  })

  it('peek tells the tasks of one partition in the order in which they are handed out, bundles and their remains', async () => {
    const queue = await harness.queue({ partitions: 1 })
    await queue.enqueueMany(Array.from({ length: 50 }, (_, n) => ({ type: 'note' as const, data: n })))
    const ofBundle = await queue.dequeue({ count: 5 })
    const expected = (await queue.peek({ limit: 20 })).map(({ id }) => id)
    // Given back, they come first again, one by one now.
    await Promise.all(ofBundle.map((delivery) => delivery.release()))
    await eventually(async () => expect((await queue.depth()).ready.medium).toBe(50))
    const next = (await queue.peek({ limit: 25 })).map(({ id }) => id)
    const returned = next.filter((id) => !expected.includes(id))
    expect(returned.sort()).toEqual(ofBundle.map(({ id }) => id).sort())
    const order = (await queue.peek({ limit: 50 })).map(({ id }) => id)
    const taken: string[] = []
    while (taken.length < 50) {
      const deliveries = await queue.dequeue({ count: 50, blockMs: 1_000 })
      taken.push(...deliveries.map(({ id }) => id))
      await Promise.all(deliveries.map((delivery) => delivery.complete()))
    }
    expect(order).toEqual(taken)
    expect(await queue.peek()).toEqual([])
  })

  it('openQueue opens what is there, and makes nothing of a name that was mistyped', async () => {
    const { name } = await harness.queue()
    const queue = await openQueue(name, { connection: harness.connection })
    expect((await queue.depth()).active).toBe(0)
    await queue.disconnect()
    const mistyped = harness.name()
    await expect(openQueue(mistyped, { connection: harness.connection })).rejects.toThrow(QueueNotFoundError)
    await expect(openQueue(mistyped, { connection: harness.connection })).rejects.toThrow(mistyped)
  })
}
