import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('handlers that complete their task themselves, and return, lose none', async () => {
  const { queue, worker } = await ownServer()
  const producer = await queue({ partitions: 1 })
  for (let i = 0; i < 200; i++) await producer.enqueue('note', i, { backoff: { type: 'fixed', delayMs: 50 } })
  const done = new Set<unknown>()
  const started = await worker(
    {
      async note(task) {
        await sleep(Math.random() * 20)
        if (Number(task.data) % 10 === 0 && task.attempt === 1) throw new Error('the first try fails')
        done.add(task.data)
        task.complete().catch(() => {}) // not needed, and refused if the worker was first
      },
    },
    { leaseMs: 1_000, concurrency: 10 },
  )
  await until(
    'every task has run to its end',
    async () => done.size,
    (size) => size === 200,
  )
  const { completed } = await until(
    'every task is completed',
    () => producer.stats(),
    (stats) => stats.completed === 200,
  )
  expect(completed).toBe(200)
  expect(await producer.depth()).toEqual({
    ready: { high: 0, medium: 0, low: 0 },
    active: 0,
    scheduled: 0,
    dead: 0,
  })
  await started.stop()
})
