import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))
const HOUR_MS = 3_600_000

it.each(['fixed', 'exponential'] as const)(
  'a %s backoff of an hour is an hour, where nobody gave a maxMs',
  async (type) => {
    const queue = await harness.queue()
    const id = await queue.enqueue('note', 1, { backoff: { type, delayMs: HOUR_MS } })
    const [delivery] = await queue.dequeue()
    const beforeMs = Date.now()
    expect(await delivery?.fail(new Error('x'))).toBe('retried')
    const inMs = ((await queue.getTask(id))?.runAt ?? 0) - beforeMs
    expect(inMs).toBeGreaterThan(HOUR_MS - 5_000)
    expect(inMs).toBeLessThan(HOUR_MS + 60_000)
  },
)
