import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** What EnqueueOptions.idempotencyKey says; the partition of the task is the only one that is asked. */
it('an idempotency key is that of its partition key: the same with the same one is one task, with another it is another', async () => {
  const queue = await harness.queue({ partitions: 8 })
  const enqueue = (partitionKey?: string) =>
    queue.enqueue('note', 1, {
      idempotencyKey: 'order-7',
      ...(partitionKey === undefined ? {} : { partitionKey }),
    })
  const keys = [undefined, 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I']
  const first = await Promise.all(keys.map(enqueue))
  const again = await Promise.all(keys.map(enqueue))
  expect(again).toEqual(first)
  // Ten keys in eight partitions: some of them share one, and are ten all the same.
  expect(new Set(first).size).toBe(keys.length)
  expect((await queue.depth()).ready.medium).toBe(keys.length)
})
