import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'
import { until } from '../helpers/until.js'

const HELD = 20
const LEASE_MS = 500

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('tasks of a consumer that is gone come back while the one partition is busy all the time', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const gone = await harness.queue({ partitions: 1 }, queue.name)
  await queue.enqueueMany(Array.from({ length: HELD }, (_, i) => ({ type: 'note' as const, data: i })))
  const held = new Set((await gone.dequeue({ count: HELD, leaseMs: LEASE_MS })).map(({ id }) => id))
  expect(held.size).toBe(HELD)
  await gone.disconnect()
  let over = false
  const load = Array.from({ length: 4 }, async () => {
    while (!over)
      await queue.enqueueMany(Array.from({ length: 200 }, () => ({ type: 'note' as const, data: 'load' })))
  })
  const back = new Set<string>()
  const worker = await harness.worker(
    queue.name,
    {
      note: ({ id, attempt }) => {
        if (held.has(id) && attempt === 2) back.add(id)
      },
    },
    { concurrency: 500 },
  )
  try {
    // Within the lease, the jitter and some calls; as long as nothing puts it off.
    await until('all of them came back', async () => back.size, (size) => size === HELD, LEASE_MS + 3_000)
  } finally {
    over = true
    await Promise.all(load)
    await worker.stop()
  }
})
