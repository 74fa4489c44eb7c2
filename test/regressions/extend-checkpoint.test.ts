import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('checkpoints that are saved while the task is extended are saved, and those before them too', async () => {
  const queue = await harness.queue({ partitions: 1 })
  for (let i = 0; i < 20; i++) await queue.enqueue('note', i)
  for (const delivery of await queue.dequeue({ count: 20 })) {
    await Promise.all([
      delivery.checkpoint('before', 1),
      delivery.extend(60_000),
      delivery.checkpoint('between', 2),
      delivery.extend(50_000),
      delivery.checkpoint('after', 3),
    ])
    const steps = (await delivery.checkpoints()).map(({ step }) => step)
    expect(steps.sort()).toEqual(['after', 'before', 'between'])
    await delivery.complete()
  }
  expect(await queue.depth()).toMatchObject({ active: 0, ready: { medium: 0 } })
})
