import { inject, it } from 'vitest'
import { makePartitions } from '../../src/keys/partitions.js'
import { makeHarness } from '../helpers/behaviour/harness.js'
import { until } from '../helpers/until.js'

const TASKS = 5_000

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('after a burst, results are removed as they expire, and not a portion now and then', async () => {
  const options = { results: { ttlMs: 300 }, partitions: 1 }
  const queue = await harness.queue(options)
  let completed = 0
  const worker = await harness.worker(queue.name, { note: () => 1 }, { ...options, concurrency: 500 })
  worker.on('completed', () => completed++)
  await queue.enqueueMany(Array.from({ length: TASKS }, () => ({ type: 'note' as const, data: 1 })))
  await until(
    'all are completed',
    async () => completed,
    (count) => count === TASKS,
  )
  const [server] = await harness.masters()
  const [partition] = makePartitions(queue.name, 1)
  const stored = async () => server?.hlen(partition?.keys.results ?? '')
  await until('all results are removed', stored, (count) => count === 0, 8_000)
})
