import { expect, it } from 'vitest'
import { ownServer } from '../helpers/full-memory.js'

it('complete() twice on one delivery takes no other task out of the lease', async () => {
  const { queue } = await ownServer()
  const producer = await queue({ partitions: 1 })
  for (const data of ['x', 'y']) await producer.enqueue('note', data) // one after the other: no bundle
  const [x, y] = await producer.dequeue({ count: 2, leaseMs: 30_000 })
  await Promise.all([x?.complete(), x?.complete()])
  expect(await producer.depth()).toMatchObject({ active: 1 })
  expect(await y?.fail(new Error('no'), { retry: false })).toBe('dead')
  expect(await producer.stats()).toMatchObject({ completed: 1, dead: 1 })
})

it('nor does it with tasks of one bundle', async () => {
  const { queue } = await ownServer()
  const producer = await queue({ partitions: 1 })
  await producer.enqueueMany(Array.from({ length: 8 }, (_, i) => ({ type: 'note' as const, data: i })))
  const deliveries = await producer.dequeue({ count: 8, leaseMs: 30_000 })
  expect(deliveries.map(({ data }) => data)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  const [first] = deliveries
  await Promise.all([...deliveries, first].map((one) => one?.complete()))
  expect(await producer.stats()).toMatchObject({ completed: 8 })
  expect(await producer.depth()).toMatchObject({ active: 0 })
})

it('the task that was completed beside its bundle was completed, whichever came first', async () => {
  const { queue } = await ownServer()
  const producer = await queue({ partitions: 1 })
  await producer.enqueueMany(Array.from({ length: 8 }, (_, i) => ({ type: 'note' as const, data: i })))
  const deliveries = await producer.dequeue({ count: 8, leaseMs: 30_000 })
  const [first] = deliveries
  await Promise.all([first, ...deliveries].map((one) => one?.complete()))
  expect(await producer.stats()).toMatchObject({ completed: 8 })
  expect(await producer.depth()).toMatchObject({ active: 0 })
})
