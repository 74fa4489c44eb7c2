import { expect, inject, it } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { eventually, makeHarness, type TestTasks } from '../helpers/behaviour/harness.js'

const DISCONNECTS = 100

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('who disconnects in good order uses up no attempt of a task that nobody has got', async () => {
  const queue = await harness.queue({ partitions: 4 })
  const seen = new Set<string>()
  const sent = new Set<string>()
  let over = false
  const load = (async () => {
    while (!over) {
      const items = Array.from({ length: 5 }, () => ({
        type: 'note' as const,
        data: 1,
        options: { maxAttempts: 1 },
      }))
      for (const id of await queue.enqueueMany(items)) sent.add(id)
    }
  })()
  const takeAndGo = async (i: number) => {
    const one = new TaskQueue<TestTasks>(queue.name, { connection: harness.connection })
    await one.connect()
    const take = async () => {
      for (;;) {
        const deliveries = await one.dequeue({ count: 10, blockMs: 1_000, leaseMs: 500 })
        for (const delivery of deliveries) {
          seen.add(delivery.id)
          // Who disconnects may find out that it could not be completed any more; seen it was.
          delivery.complete().catch(() => undefined)
        }
        if (deliveries.length === 0) return
      }
    }
    const taking = take().catch((error: Error) => {
      // The next one after the last.
      expect(error.name).toBe('NotConnectedError')
    })
    await new Promise((resolve) => setTimeout(resolve, 5 + (i % 20)))
    await one.disconnect()
    await taking
  }
  for (let i = 0; i < DISCONNECTS; i += 4) await Promise.all([0, 1, 2, 3].map((j) => takeAndGo(i + j)))
  over = true
  await load
  const rest = await harness.queue({}, queue.name)
  await eventually(async () => {
    for (;;) {
      const deliveries = await rest.dequeue({ count: 500, blockMs: 0 })
      for (const delivery of deliveries) seen.add(delivery.id)
      await Promise.all(deliveries.map((delivery) => delivery.complete()))
      if (deliveries.length === 0) break
    }
    const { active, ready } = await rest.depth()
    expect({ active, ready }).toEqual({ active: 0, ready: { high: 0, medium: 0, low: 0 } })
  }, 10_000)
  const { items } = await rest.deadLetters.list({ limit: 1_000 })
  expect(items.filter(({ id }) => !seen.has(id)).map(({ id }) => id)).toEqual([])
  expect([...sent].filter((id) => !seen.has(id))).toEqual([])
})

it('a dequeue that waits ends with nothing, at once', async () => {
  const queue = await harness.queue()
  const waiting = queue.dequeue({ blockMs: 60_000 })
  await new Promise((resolve) => setTimeout(resolve, 100))
  await queue.disconnect()
  expect(await waiting).toEqual([])
})
