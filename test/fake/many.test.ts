import { expect, it } from 'vitest'
import { EnqueueManyError, InvalidDataError, InvalidOptionError } from '../../src/index.js'
import { fakeCluster, queueOn } from './harness.js'

/** 200 kB each, so that the last of 60 are beyond what is kept of the first reading. */
const text = 'x'.repeat(200_000)

it('items of an array that turn bad after they were checked fail by themselves: the ids of the others are told', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
  let readings = 0
  const twice = {
    toJSON() {
      if (++readings > 1) throw new Error('second time')
      return 1
    },
  }
  const items: { type: 'note'; data: never }[] = Array.from({ length: 60 }, (_, i) => ({
    type: 'note' as const,
    data: (i === 50 ? twice : text) as never,
  }))
  const enqueueing = queue.enqueueMany(items)
  items[55] = undefined as never
  items.push({ type: 'note', data: 1 as never })
  const error = await enqueueing.catch((refusal: unknown) => refusal)
  expect(error).toBeInstanceOf(EnqueueManyError)
  const { ids, failures } = error as EnqueueManyError
  expect(ids).toHaveLength(60)
  expect(ids.flatMap((id, i) => (id === null ? [i] : []))).toEqual([50, 55])
  expect(failures.map(({ index }) => index)).toEqual([50, 55])
  expect(failures[0]?.error).toBeInstanceOf(InvalidDataError)
  expect(failures[1]?.error).toBeInstanceOf(InvalidOptionError)
})
