import { expect, inject, it } from 'vitest'
import { InvalidOptionError } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

const MOST = 1_000

/** Each checkpoint reads all that the task has: with 30,000 steps, one of a byte took 12 ms of the master. */
it('a task has checkpoints of 1,000 different steps at most', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const id = await queue.enqueue('note', 1)
  const [delivery] = await queue.dequeue()
  await delivery?.checkpoint('0', 0)
  const [key] = makePartitions(queue.name, 1).map(({ keys }) => keys.checkpoints)
  const [redis] = await harness.masters()
  const lines = Array.from({ length: MOST - 1 }, (_, i) => `"${i}" 1 ${i}`)
  await redis?.hset(key ?? '', id, lines.join('\n'))
  await delivery?.checkpoint('the last', 1)
  const refusal = await delivery?.checkpoint('one more', 1).catch((error: unknown) => error)
  expect(refusal).toBeInstanceOf(InvalidOptionError)
  expect((refusal as Error).message).toMatch(/^step: .*1000 different steps.*one step/)
  await expect(queue.checkpoint(id, 'one more', 1)).rejects.toBeInstanceOf(InvalidOptionError)
  expect(await delivery?.checkpoints()).toHaveLength(MOST)
  // One that it has may be saved again, and all other calls go on.
  await delivery?.checkpoint('7', 'again')
  expect((await delivery?.checkpoints())?.at(-1)).toMatchObject({ step: '7', data: 'again' })
  await delivery?.complete()
})
