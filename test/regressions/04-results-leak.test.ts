import { expect, inject, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { makeHarness } from '../helpers/behaviour/harness.js'
import { until } from '../helpers/until.js'

const TTL_MS = 300

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('results that expired are removed, however steadily tasks are completed', async () => {
  const options = { results: { ttlMs: TTL_MS }, partitions: 2 }
  const queue = await harness.queue(options)
  let completed = 0
  const worker = await harness.worker(queue.name, { note: () => 'kept' }, options)
  worker.on('completed', () => completed++)
  let over = false
  const trickle = (async () => {
    while (!over) {
      await queue.enqueue('note', 1)
      await sleep(10)
    }
  })()
  const [server] = await harness.masters()
  const stored = async () => {
    const sizes = makePartitions(queue.name, 2).map(({ keys }) => server?.hlen(keys.results))
    return (await Promise.all(sizes)).reduce<number>((sum, size) => sum + (size ?? 0), 0)
  }
  // Nothing that goes on all the time may put it off: first some are there, and then most are gone, while more come.
  await until('some results are stored', stored, (count) => count > 20)
  const look = async () => ({ stored: await stored(), completed })
  const seen = await until('most are removed again', look, (now) => now.stored < now.completed / 2, 10_000)
  over = true
  await trickle
  expect(seen.completed).toBeGreaterThan(20)
})
