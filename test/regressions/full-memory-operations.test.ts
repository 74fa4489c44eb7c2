import { expect, it } from 'vitest'
import type { Delivery } from '../../src/index.js'
import { fillMemory, ownServer } from '../helpers/full-memory.js'

it('while memory is full all works that enqueues nothing', async () => {
  const { server, queue: connected } = await ownServer()
  const queue = await connected({ enqueueTimeoutMs: 1_000, results: { ttlMs: 60_000 } })
  await queue.enqueueMany(
    Array.from({ length: 300 }, (_, i) => ({
      type: 'note' as const,
      data: i,
      options: { maxAttempts: i % 2 ? 1 : 3 },
    })),
  )
  const held: Delivery[] = await queue.dequeue({ count: 40, leaseMs: 60_000 })
  for (const each of held.splice(0, 10)) await each.fail(new Error('x'), { retry: false })
  const [first, second] = (await queue.deadLetters.list()).items
  if (!first || !second) throw new Error('there are dead letters')
  const next = () => {
    const delivery = held.pop()
    if (!delivery) throw new Error('none is held any more')
    return delivery
  }
  await fillMemory([server])

  await expect(queue.enqueue('note', 1)).rejects.toMatchObject({ name: 'QueueFullError' })
  expect((await queue.depth()).dead).toBe(10)
  expect((await queue.stats()).enqueued).toBe(300)
  expect((await queue.peek()).length).toBeGreaterThan(0)
  expect(await queue.getTask(next().id)).toMatchObject({ state: 'active' })
  expect((await queue.health()).state).not.toBe('down')
  expect((await queue.dequeue({ blockMs: 1_500 })).length).toBe(1)
  await next().complete('r')
  expect(await next().fail(new Error('x'), { retry: true })).toBeTypeOf('string')
  expect(await next().fail(new Error('x'), { retry: false })).toBe('dead')
  await next().release()
  await next().extend(60_000)
  const saving = next()
  await saving.checkpoint('s', 1)
  await expect(saving.checkpoint('t', 'x'.repeat(10_000))).rejects.toMatchObject({ name: 'QueueFullError' })
  expect(await saving.checkpoints()).toMatchObject([{ step: 's', data: 1 }])
  await queue.pause()
  await queue.resume()
  expect(await queue.deadLetters.retry(first.id)).toBe(true)
  expect(await queue.deadLetters.remove(second.id)).toBe(true)
  expect(await queue.deadLetters.retryAll({ type: 'none' })).toBe(0)
  expect(await queue.deadLetters.purge()).toBeGreaterThanOrEqual(8)
})
