import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { withLink } from '../../src/cluster/link.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { limitMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

it('leases are renewed while dead letters hold memory above its limit', async () => {
  const { server, queue, worker } = await ownServer()
  const producer = await queue({ partitions: 1 })
  const connection = { mode: 'single', url: server.url } as const
  const failing = new TaskQueue('failing', { connection })
  await failing.connect()
  const notes = Array.from({ length: 500 }, () => ({
    type: 'note',
    data: 'x'.repeat(300),
    options: { maxAttempts: 1 },
  }))
  await failing.enqueueMany(notes)
  let starts = 0
  const workers = []
  for (let i = 0; i < 2; i++)
    workers.push(
      await worker(
        {
          async note() {
            starts++
            await sleep(2_500)
          },
        },
        { leaseMs: 500 },
      ),
    )
  let completed = 0
  for (const each of workers) each.on('completed', () => completed++)
  const burying = new Worker(
    'failing',
    {
      note: () => {
        throw new Error(`never works: ${'y'.repeat(2_000)}`)
      },
    },
    { connection, concurrency: 20 },
  )
  await burying.start()
  await producer.enqueue('note', 1, { maxAttempts: 3 })
  await until(
    'a handler runs',
    async () => starts,
    (count) => count > 0,
  )
  const used = async () =>
    Number(/used_memory:(\d+)/.exec(await withLink(server, {}, (link) => link.text('INFO', 'memory')))?.[1])
  const limit = await used()
  await limitMemory([server], `${limit}`)
  await until(
    'every other task is dead',
    () => failing.depth(),
    ({ dead }) => dead === 500,
  )
  expect(await used()).toBeGreaterThan(limit)
  await until(
    'it is completed',
    async () => completed,
    (count) => count > 0,
  )
  expect(starts).toBe(1)
  expect(workers.flatMap(({ errors }) => errors)).toEqual([])
  await burying.stop()
  await failing.disconnect()
})
