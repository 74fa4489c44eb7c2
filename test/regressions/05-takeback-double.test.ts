import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue, Worker } from '../../src/index.js'
import { delayReplicas, enqueueDuring, standingOf } from '../helpers/late-replicas.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

/** Longer than confirmTimeoutMs times the masters: then a task is taken back everywhere, and comes to its first partition again. */
const LATE_MS = 360
const PARTITIONS = 3

it('tasks that late replicas did not confirm stand in one place, once, and are run once', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue<{ note: { n: number; pad: string } }>('double', {
    connection,
    partitions: PARTITIONS,
  })
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  const acknowledged = await enqueueDuring(queue, { callers: 4, pad: '' }, async () => {
    for (let round = 0; round < 3; round++) {
      await delayReplicas(cluster, LATE_MS)
      await sleep(100)
    }
  })
  const ids = [...acknowledged.values()]
  expect((await queue.stats()).unconfirmed).toBeGreaterThan(0)
  expect(new Set(ids).size).toBe(ids.length)
  await until(
    'copies are removed',
    () => standingOf(cluster, 'double', PARTITIONS),
    ({ stored, twice, nowhere }) => stored === ids.length && twice.length === 0 && nowhere.length === 0,
    5_000,
  )
  const runs = new Map<string, number>()
  const handlers = { note: ({ id }: { id: string }) => void runs.set(id, (runs.get(id) ?? 0) + 1) }
  const worker = new Worker<{ note: { n: number; pad: string } }>('double', handlers, {
    connection,
    concurrency: 100,
  })
  await worker.start()
  onTestFinished(() => worker.stop())
  await until(
    'all have run',
    () => queue.depth(),
    ({ ready, active }) => ready.medium + active === 0,
    10_000,
  )
  expect([...runs.keys()].sort()).toEqual([...ids].sort())
  expect([...runs.values()].filter((count) => count > 1)).toEqual([])
  expect((await queue.stats()).completed).toBe(ids.length)
})
