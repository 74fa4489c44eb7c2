import { expect, it } from 'vitest'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('delayed tasks that fall due while memory is full are run', async () => {
  const { server, queue, worker } = await ownServer()
  const producer = await queue()
  let ran = 0
  const { errors } = await worker({ note: () => void ran++ })
  await producer.enqueueMany(
    Array.from({ length: 200 }, () => ({ type: 'note' as const, data: 1, options: { delayMs: 1_000 } })),
  )
  await fillMemory([server])
  expect(ran).toBe(0)
  await until(
    'all tasks have run',
    async () => ran,
    (count) => count === 200,
  )
  expect(errors).toEqual([])
  await until(
    'none is left',
    () => producer.depth(),
    (depth) => depth.scheduled === 0 && depth.active === 0,
  )
})
