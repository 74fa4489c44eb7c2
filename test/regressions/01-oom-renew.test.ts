import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('a handler that is longer than its lease runs once, while memory is full and another worker waits', async () => {
  const { server, queue, worker } = await ownServer()
  const producer = await queue()
  let starts = 0
  let completed = 0
  const workers = []
  for (let i = 0; i < 2; i++) {
    const one = await worker(
      {
        async note() {
          starts++
          await sleep(2_500)
        },
      },
      { leaseMs: 500, concurrency: 1 },
    )
    one.on('completed', () => completed++)
    workers.push(one)
  }
  await producer.enqueue('note', 1, { maxAttempts: 2 })
  await until(
    'a handler runs',
    async () => starts,
    (count) => count > 0,
  )
  await fillMemory([server])
  await until(
    'it is completed',
    async () => completed,
    (count) => count > 0,
  )
  expect(starts).toBe(1)
  expect(await producer.depth()).toMatchObject({ active: 0, dead: 0 })
  expect(workers.flatMap(({ errors }) => errors)).toEqual([])
})
