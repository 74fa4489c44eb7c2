import { expect, inject, it } from 'vitest'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'
import { POISON } from '../helpers/poison.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/**
 * Whatever a handler throws fails the attempt. A value that cannot be made a text ended the process, or stayed with the worker
 * for ever; vitest fails the run for every rejection that nobody handles.
 */
it('whatever is thrown: the attempt fails, is tried again, and the task dies; the worker goes on and stops', async () => {
  const queue = await harness.queue()
  const events: string[] = []
  let good = 0
  const worker = await harness.worker(
    queue.name,
    {
      note: async ({ data }) => {
        throw POISON[data as number]?.value
      },
      add: () => {
        good++
      },
    },
    { leaseMs: 500, concurrency: 5 },
  )
  worker.on('failed', ({ task, error }) => events.push(`failed ${task.data} ${error instanceof Error}`))
  worker.on('dead', ({ task, error }) => events.push(`dead ${task.data} ${typeof error.message}`))
  await queue.enqueueMany(
    POISON.map((_, i) => ({
      type: 'note' as const,
      data: i,
      options: { maxAttempts: 2, backoff: { type: 'fixed', delayMs: 0 } },
    })),
  )
  await eventually(() => expect(events.length).toBeGreaterThanOrEqual(2 * POISON.length))
  const expected = POISON.flatMap((_, i) => [`failed ${i} true`, `dead ${i} string`])
  expect(events.sort()).toEqual(expected.sort())
  const { items } = await queue.deadLetters.list({ limit: 1_000 })
  for (const { data, error } of items) {
    const { name, says } = POISON[data as number] ?? { name: '', says: '' }
    expect(error.name, `${data}`).toBe(name)
    expect(error.message, `${data}`).toContain(says)
    expect(JSON.stringify(error).length).toBeLessThan(25_000)
  }
  await queue.enqueue('add', { a: 1, b: 1 })
  await eventually(() => expect(good).toBe(1))
  const { metrics, active } = worker.health()
  expect({ metrics, active }).toEqual({
    metrics: { completed: 1, failed: 2 * POISON.length, dead: POISON.length, lost: 0 },
    active: 0,
  })
  const startedMs = performance.now()
  await worker.stop()
  expect(performance.now() - startedMs).toBeLessThan(5_000)
})
