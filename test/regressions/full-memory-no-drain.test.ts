import { expect, it } from 'vitest'
import { EnqueueManyError, type Handlers } from '../../src/index.js'
import type { TestTasks } from '../helpers/behaviour/harness.js'
import { limitMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

const HANDLERS: Record<string, Handlers<TestTasks>['note']> = {
  'that complete': () => {},
  'that fail': () => {
    throw new Error(`this one never works: ${'y'.repeat(500)}`)
  },
  'that save checkpoints': (_, context) => context.checkpoint('half', { rows: 'z'.repeat(200) }),
}

it.each([
  { what: 'that complete', results: true },
  { what: 'that fail', results: false },
  { what: 'that save checkpoints', results: false },
])('tasks $what drain, with results: $results', async ({ what, results }) => {
  const { server, queue: connected, worker } = await ownServer()
  const options = results ? { results: { ttlMs: 60_000 } } : {}
  const queue = await connected({ enqueueTimeoutMs: 600, ...options })
  await limitMemory([server], `${4 * 1024 * 1024}`)
  const pad = 'x'.repeat(1_000)
  const some = Array.from({ length: 200 }, (_, i) => ({
    type: 'note' as const,
    data: { pad },
    // With a key, each is kept by itself; without one they come in bundles.
    options: { maxAttempts: 1, ...(results ? { partitionKey: `${i}` } : {}) },
  }))
  let stored = 0
  for (let full = false; !full; ) {
    await queue.enqueueMany(some).then(
      (ids) => {
        stored += ids.length
      },
      (error) => {
        if (!(error instanceof EnqueueManyError)) throw error
        full = true
        stored += error.ids.filter((id) => id !== null).length
      },
    )
  }
  expect(stored).toBeGreaterThan(200)
  await queue.pause()
  // A new connection records the queue, which is another matter (01b-oom-no-new-worker).
  await limitMemory([server], '0')
  const runs = new Map<string, number>()
  const note = HANDLERS[what]
  const started = await worker(
    {
      note: (task, context) => {
        runs.set(task.id, (runs.get(task.id) ?? 0) + 1)
        return note?.(task, context)
      },
    },
    { concurrency: 50, ...options, leaseMs: 5_000 },
  )
  // Over the limit from the first task to the last, not just at it.
  await limitMemory([server], '1')
  await queue.resume()
  await until(
    'the queue has drained',
    () => queue.depth(),
    ({ ready, active, scheduled }) => ready.medium + active + scheduled === 0,
  )
  expect([...runs.values()].every((count) => count === 1)).toBe(true)
  expect(runs.size).toBe(stored)
  expect(started.errors).toEqual([])
})
