import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'
import { until } from '../helpers/until.js'

const LEASE_MS = 500
const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('a task whose lease ran out between the hand-out and its handler goes back, and is not run on', async () => {
  const queue = await harness.queue({ partitions: 1 })
  for (const data of ['first', 'second']) await queue.enqueue('note', data)
  const started: [unknown, number][] = []
  await harness.worker(
    queue.name,
    {
      note: ({ data, attempt }) => {
        started.push([data, attempt])
        // As if the process had been stopped between the two handlers.
        const untilMs = performance.now() + (data === 'first' ? 2 * LEASE_MS : 0)
        while (performance.now() < untilMs);
      },
    },
    { concurrency: 2, leaseMs: LEASE_MS },
  )
  const stats = await until(
    'both are completed',
    () => queue.stats(),
    ({ completed }) => completed === 2,
  )
  expect(started.map(([data]) => data)).toEqual(['first', 'second'])
  // The second one was handed out once more.
  expect(stats.delivered).toBe(3)
})
