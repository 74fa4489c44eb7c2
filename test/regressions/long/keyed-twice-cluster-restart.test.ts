import { expect, it, onTestFinished } from 'vitest'
import type { LocalCluster } from '../../../src/cluster/index.js'
import { sleep } from '../../../src/connection/connection.js'
import { type Delivery, TaskQueue, Worker } from '../../../src/index.js'
import { makePartitions, partitionOfKey } from '../../../src/keys/partitions.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

interface Tasks {
  pay: number
  plain: number
}

const PARTITIONS = 3
const KEY = 'customer'

/**
 * Of a cluster, unlike a single server (27-keyed-twice-restart), a master that was restarted answers probes at once, and refuses all
 * calls for two seconds. It comes back with what it had when it was told to save.
 */
async function forgetfulCluster() {
  const cluster = await ownCluster({
    settings: { appendonly: 'no', save: '', 'cluster-node-timeout': '30000' },
  })
  const [partition] = makePartitions('q', PARTITIONS).slice(partitionOfKey(KEY, PARTITIONS))
  const { nodes } = await cluster.status()
  const master = nodes.find(({ slots }) =>
    slots.some(([from, to]) => from <= (partition?.slot ?? 0) && (partition?.slot ?? 0) <= to),
  )
  if (!master) throw new Error('no master')
  return { cluster, port: master.port }
}

async function open(cluster: LocalCluster) {
  const queue = new TaskQueue<Tasks>('q', { connection: cluster.connection, partitions: PARTITIONS })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  return queue
}

/** Works on what is there, one task at a time. */
async function worker(cluster: LocalCluster, runs: Runs, durationMs: number) {
  const handlers = {
    plain: () => void runs.plain++,
    pay: async () => {
      runs.starts++
      runs.now++
      runs.most = Math.max(runs.most, runs.now)
      await sleep(durationMs)
      runs.now--
    },
  }
  const options = { connection: cluster.connection, partitions: PARTITIONS, leaseMs: 3_000, concurrency: 1 }
  const working = new Worker<Tasks>('q', handlers, options)
  working.on('completed', ({ task }) => {
    if (task.type === 'pay') runs.completed++
  })
  working.on('error', () => undefined)
  await working.start()
  onTestFinished(() => working.stop({ timeoutMs: 0 }))
}

const newRuns = () => ({ plain: 0, starts: 0, now: 0, most: 0, completed: 0 })
type Runs = ReturnType<typeof newRuns>

async function letIn(queue: TaskQueue<Tasks>, take: () => Promise<readonly Delivery[]>): Promise<void> {
  const tasks = Array.from({ length: 60 }, (_, i) => ({ type: 'plain' as const, data: i }))
  await queue.enqueueMany(tasks)
  for (let taken = 0; taken < tasks.length; ) {
    const deliveries = await take()
    await Promise.all(deliveries.map((delivery) => delivery.complete()))
    taken += deliveries.length
  }
}

async function restart(cluster: LocalCluster, port: number, afterMs: number): Promise<void> {
  await cluster.killNode(port)
  await sleep(afterMs)
  await cluster.restartNode(port)
  await eventually(
    async () => expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_state:ok'),
    10_000,
  )
}

it.each(['fail', 'release'] as const)(
  'a %s that a restart forgot is told again, and the next holder is the only one',
  async (call) => {
    const { cluster, port } = await forgetfulCluster()
    const first = await open(cluster)
    await letIn(first, () => first.dequeue({ count: 60, blockMs: 1_000 }))
    await first.enqueue('pay', 1, {
      partitionKey: KEY,
      maxAttempts: 10,
      backoff: { type: 'fixed', delayMs: 0 },
    })
    const [delivery] = await first.dequeue({ blockMs: 3_000, leaseMs: 3_000 })
    const runs = newRuns()
    await worker(cluster, runs, 10_000)
    await worker(cluster, runs, 10_000)
    // What its disk has: the first one holds it.
    await tell(port, 'SAVE')
    await (call === 'fail' ? delivery?.fail(new Error('no luck')) : delivery?.release())
    await eventually(() => expect(runs.starts).toBe(1))
    await restart(cluster, port, 0)
    await sleep(12_000)
    expect(runs).toMatchObject({ starts: 1, most: 1, completed: 1 })
  },
  60_000,
)

it('a completion that a restart forgot is told again, however long the restart took', async () => {
  const { cluster, port } = await forgetfulCluster()
  const queue = await open(cluster)
  const runs = newRuns()
  await worker(cluster, runs, 0)
  await queue.enqueueMany(Array.from({ length: 60 }, (_, i) => ({ type: 'plain', data: i })))
  await eventually(() => expect(runs.plain).toBe(60))
  await queue.pause()
  await queue.enqueue('pay', 1, { partitionKey: KEY, maxAttempts: 10 })
  await sleep(3_500)
  // What its disk has: the task waits.
  await tell(port, 'SAVE')
  await queue.resume()
  await eventually(() => expect(runs.completed).toBe(1))
  await restart(cluster, port, 4_000)
  await queue.resume()
  await sleep(8_000)
  expect(runs).toMatchObject({ starts: 1, completed: 1 })
  const { ready, active, dead } = await queue.depth()
  expect({ ready, active, dead }).toEqual({ ready: { high: 0, medium: 0, low: 0 }, active: 0, dead: 0 })
}, 60_000)
