import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('none of them is run again when its lease would have run out', async () => {
  const { server, queue, worker } = await ownServer()
  const options = { results: { ttlMs: 60_000 }, leaseMs: 500 }
  const producer = await queue({ results: options.results })
  let ran = 0
  let completed = 0
  for (let i = 0; i < 2; i++) {
    const started = await worker({ note: () => ++ran }, options)
    started.on('completed', () => completed++)
  }
  await producer.pause()
  for (let i = 0; i < 10; i++) await producer.enqueue('note', 'x'.repeat(10_000), { maxAttempts: 2 })
  await fillMemory([server])
  await producer.resume()
  await until(
    'all are completed',
    async () => completed,
    (count) => count === 10,
  )
  await sleep(1_500) // three leases, in which nothing may happen
  expect([ran, completed]).toEqual([10, 10])
  expect(await producer.depth()).toEqual({
    ready: { high: 0, medium: 0, low: 0 },
    active: 0,
    scheduled: 0,
    dead: 0,
  })
})
