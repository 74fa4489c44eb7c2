import { expect, it } from 'vitest'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('tasks whose results are kept are completed while memory is full', async () => {
  const { server, queue, worker } = await ownServer()
  const results = { ttlMs: 60_000 }
  const producer = await queue({ results })
  let ran = 0
  let completed = 0
  const started = await worker({ note: () => ++ran }, { results })
  started.on('completed', () => completed++)
  await producer.pause()
  const notes = Array.from({ length: 10 }, () => ({ type: 'note' as const, data: 'x'.repeat(10_000) }))
  const ids = await producer.enqueueMany(notes)
  await fillMemory([server])
  await producer.resume()
  await until(
    'all are completed',
    async () => completed,
    (count) => count === 10,
  )
  expect(ran).toBe(10)
  for (const id of ids)
    expect(await producer.getTask(id)).toMatchObject({ state: 'completed', result: expect.any(Number) })
  expect(await producer.depth()).toMatchObject({ active: 0, dead: 0 })
  expect(started.errors).toEqual([])
})
