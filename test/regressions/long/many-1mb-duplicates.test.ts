import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue, Worker } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

const COUNT = 60

it('many tasks of a megabyte at once are acknowledged, and run once each', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const options = { connection: { mode: 'cluster', nodes: cluster.seeds } } as const
  const runs = new Map<number, number>()
  const worker = new Worker<{ note: { i: number; pad: string } }>(
    'megabytes',
    { note: ({ data: { i } }) => void runs.set(i, (runs.get(i) ?? 0) + 1) },
    options,
  )
  await worker.start()
  onTestFinished(() => worker.stop())
  const queue = new TaskQueue<{ note: { i: number; pad: string } }>('megabytes', options)
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  const pad = 'x'.repeat(1_000_000)
  await Promise.all(Array.from({ length: COUNT }, (_, i) => queue.enqueue('note', { i, pad })))
  await until(
    'all have run',
    async () => worker.health().metrics.completed,
    (count) => count >= COUNT,
  )
  await until(
    'nothing is left',
    () => queue.depth(),
    ({ ready, active }) => ready.medium + active === 0,
  )
  expect(runs.size).toBe(COUNT)
  expect([...runs.values()].filter((count) => count > 1)).toEqual([])
})
