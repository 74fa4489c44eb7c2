import { expect, inject, it } from 'vitest'
import { InvalidOptionError } from '../../src/index.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** Half of a surrogate pair is U+FFFD in UTF-8, whichever half it is: two keys became one, and the second task was dropped. */
it('texts that UTF-8 cannot hold are refused wherever they would become keys or names', async () => {
  const queue = await harness.queue()
  const half = 'x\ud800'
  const refused = [
    ['options.idempotencyKey', () => queue.enqueue('note', 1, { idempotencyKey: half })],
    ['options.partitionKey', () => queue.enqueue('note', 1, { partitionKey: half })],
    ['type', () => queue.enqueue(half as 'note', 1)],
    ['name', () => harness.queue({}, `${harness.name()}${half}`)],
    ['step', async () => (await queue.dequeue({ blockMs: 0 }))[0]?.checkpoint(half, 1)],
  ] as const
  await queue.enqueue('note', 'a real one: 😀')
  for (const [option, call] of refused) {
    const error = await call().then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error, option).toBeInstanceOf(InvalidOptionError)
    expect((error as InvalidOptionError).option).toBe(option)
    expect((error as Error).message).toContain('surrogate')
  }
  await queue.enqueue('note', 1, { idempotencyKey: 'a whole pair: 😀' })
})

it('in task data they are kept', async () => {
  const queue = await harness.queue()
  await queue.enqueue('note', { half: 'x\ud800', 'key\udc00': '😀' })
  const [delivery] = await queue.dequeue()
  expect(delivery?.data).toEqual({ half: 'x\ud800', 'key\udc00': '😀' })
  await delivery?.complete()
})
