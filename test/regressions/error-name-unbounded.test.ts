import { expect, inject, it } from 'vitest'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('of an error with a name of 5 MB, 200 characters are kept', async () => {
  const queue = await harness.queue()
  await queue.enqueue('note', 1, { maxAttempts: 1 })
  const [delivery] = await queue.dequeue()
  expect(await delivery?.fail(Object.assign(new Error('m'), { name: 'N'.repeat(5_000_000) }))).toBe('dead')
  const { items } = await queue.deadLetters.list()
  expect(items[0]?.error).toMatchObject({ name: 'N'.repeat(200), message: 'm' })
})
