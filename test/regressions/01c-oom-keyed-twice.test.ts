import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { clientsOf, fillMemory } from '../helpers/full-memory.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

it('a task with a key starts once, though its handler outlives its lease while memory is full', async () => {
  const { seeds } = await ownCluster()
  const nodes = seeds.map(({ host, port }) => ({ host, port }))
  const { queue, worker } = clientsOf({ mode: 'cluster', nodes })
  const producer = await queue({ partitions: 3 })
  const starts: number[] = []
  let completed = 0
  for (let i = 0; i < 2; i++) {
    const started = await worker(
      {
        async note(task) {
          starts.push(task.attempt)
          await sleep(3_000)
        },
      },
      { leaseMs: 800 },
    )
    started.on('completed', () => completed++)
  }
  const task = { partitionKey: 'a', idempotencyKey: 'b', maxAttempts: 3 }
  await producer.enqueue('note', 1, task)
  await until(
    'a handler runs',
    async () => starts.length,
    (count) => count > 0,
  )
  await fillMemory(nodes)
  await until(
    'it is completed',
    async () => completed,
    (count) => count > 0,
  )
  expect(starts).toEqual([1])
  expect(await producer.depth()).toMatchObject({ active: 0, dead: 0 })
})
