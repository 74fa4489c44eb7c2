import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { delayReplicas, enqueueDuring } from '../helpers/late-replicas.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

it('after a replica has stood still, depth and stats count what waits, and nothing that was taken back', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue<{ note: { n: number; pad: string } }>('depth', { connection })
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  const acknowledged = await enqueueDuring(queue, { callers: 40, pad: '' }, () =>
    delayReplicas(cluster, 500, 1),
  )
  // Copies whose removal is still under way may be counted.
  await until(
    'what waits',
    async () => [(await queue.depth()).ready.medium, (await queue.stats()).enqueued],
    (counts) => counts.every((count) => count === acknowledged.size),
    2_000,
  )
  expect((await queue.stats()).reroutes).toBeGreaterThan(0)
})
