import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue, Worker } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

const MEGABYTES = [5, 10, 20, 30, 40, 50, 60]
const LIMITS = { maxPayloadBytes: 200 * 2 ** 20, maxBufferedBytes: 2 ** 30, enqueueTimeoutMs: 60_000 }

it('large tasks are acknowledged, run once, and not counted twice', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const options = { connection: { mode: 'cluster', nodes: cluster.seeds }, ...LIMITS } as const
  const runs: number[] = []
  const handlers = { note: ({ data }: { data: string }) => void runs.push(data.length / 1e6) }
  const worker = new Worker<{ note: string }>('big', handlers, options)
  await worker.start()
  onTestFinished(() => worker.stop())
  const queue = new TaskQueue<{ note: string }>('big', options)
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  for (const megabytes of MEGABYTES) await queue.enqueue('note', 'x'.repeat(megabytes * 1e6))
  await until(
    'all have run',
    async () => worker.health().metrics.completed,
    (count) => count === MEGABYTES.length,
  )
  // A copy would be run within moments.
  await until(
    'nothing is left',
    () => queue.depth(),
    ({ ready, active }) => ready.medium + active === 0,
  )
  expect(runs.sort((a, b) => a - b)).toEqual(MEGABYTES)
  expect((await queue.stats()).reroutes).toBe(0)
})

it('large tasks without a worker wait once each', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const options = { connection: { mode: 'cluster', nodes: cluster.seeds }, ...LIMITS } as const
  const queue = new TaskQueue<{ note: string }>('big', options)
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  for (const megabytes of MEGABYTES) await queue.enqueue('note', 'x'.repeat(megabytes * 1e6))
  await until(
    'each waits once',
    async () => (await queue.depth()).ready.medium,
    (count) => count === MEGABYTES.length,
    5_000,
  )
})
