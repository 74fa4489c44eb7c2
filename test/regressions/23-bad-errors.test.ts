import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'
import { POISON } from '../helpers/poison.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** For those who take deliveries themselves: without a worker that would make an error of it first. */
it('fail() takes whatever it is given as the error', async () => {
  const queue = await harness.queue()
  await queue.enqueueMany(POISON.map((_, i) => ({ type: 'note' as const, data: i })))
  for (let left = POISON.length; left > 0; ) {
    for (const delivery of await queue.dequeue({ count: 100 })) {
      expect(await delivery.fail(POISON[delivery.data as number]?.value, { retry: false })).toBe('dead')
      left--
    }
  }
  const { items } = await queue.deadLetters.list({ limit: 1_000 })
  expect(items).toHaveLength(POISON.length)
  for (const { data, error } of items) {
    const { name, says } = POISON[data as number] ?? { name: '', says: '' }
    expect(error.name, `${data}`).toBe(name)
    expect(error.message, `${data}`).toContain(says)
    expect(error.message.length).toBeLessThanOrEqual(2_000)
    expect(error.stack?.length ?? 0).toBeLessThanOrEqual(8_000)
  }
})
