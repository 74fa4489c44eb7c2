import { expect, it } from 'vitest'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('a worker that is started while memory is full drains the queue', async () => {
  const { server, queue, worker } = await ownServer()
  const producer = await queue()
  const notes = Array.from({ length: 100 }, () => ({ type: 'note' as const, data: 'x'.repeat(1_000) }))
  await producer.enqueueMany(notes)
  await fillMemory([server])
  let ran = 0
  const started = await worker({ note: () => void ran++ })
  await until(
    'all tasks have run',
    async () => ran,
    (count) => count === 100,
  )
  expect(started.errors).toEqual([])
  const { ready, active } = await until(
    'the queue is empty',
    () => producer.depth(),
    (depth) => depth.active === 0,
  )
  expect([ready.medium, active]).toEqual([0, 0])
})
