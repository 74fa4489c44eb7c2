import { setTimeout as sleep } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { TaskQueue, Worker } from '../../src/index.js'
import { delayReplicas, enqueueDuring, standingOf } from './late-replicas.js'
import { ownCluster } from './own-cluster.js'
import { until } from './until.js'

interface Tasks {
  note: { n: number; pad: string }
}

/** Replicas are late again and again; then the queue is drained by a worker of which one task in four is slow and fails once. */
export async function playLateReplicas(play: {
  readonly rounds: number
  readonly callers: number
  readonly partitions: number
  readonly lateMs: number
}): Promise<void> {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue<Tasks>('late', { connection, partitions: play.partitions })
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  const pad = 'x'.repeat(9_000)
  const acknowledged = await enqueueDuring(queue, { callers: play.callers, pad }, async () => {
    for (let round = 0; round < play.rounds; round++) {
      await delayReplicas(cluster, play.lateMs)
      await sleep(100)
    }
  })
  expect((await queue.stats()).unconfirmed).toBeGreaterThan(0)
  const standing = () => standingOf(cluster, 'late', play.partitions)
  await until(
    'each task stands in one place',
    standing,
    ({ twice, nowhere }) => twice.length === 0 && nowhere.length === 0,
    10_000,
  )
  const done = new Set<number>()
  const errors: Error[] = []
  const worker = new Worker<Tasks>(
    'late',
    {
      async note({ data: { n }, attempt }) {
        if (n % 4 === 0) {
          await sleep(30)
          if (attempt === 1) throw new Error('first attempt')
        }
        done.add(n)
      },
    },
    { connection, concurrency: 10, leaseMs: 2_000 },
  )
  worker.on('error', (error) => errors.push(error))
  await worker.start()
  onTestFinished(() => worker.stop())
  await until(
    'all have run to the end',
    async () => [...acknowledged.keys()].filter((n) => !done.has(n)),
    (left) => left.length === 0,
    60_000,
  )
  await until('nothing is left', standing, ({ stored }) => stored === 0)
  expect(errors).toEqual([])
}
