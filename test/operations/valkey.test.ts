import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import type { LocalCluster, UpOptions } from '../../src/cluster/index.js'
import { type ConnectionOptions, TaskQueue } from '../../src/index.js'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { manyBehaviour } from '../helpers/behaviour/many.js'
import { peekBehaviour } from '../helpers/behaviour/peek.js'
import { queueBehaviour } from '../helpers/behaviour/queue.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'
import { tell } from '../helpers/nodes.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'

const { path: redisPath } = await ensureValkey()

/** A cluster for the tests of one `describe`. */
function onValkey(options: UpOptions): () => ConnectionOptions {
  let cluster: LocalCluster
  let dispose: () => Promise<void>
  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster({ redisPath, ...options }))
  })
  afterAll(() => dispose?.())
  return () => ({ mode: 'cluster', nodes: cluster.seeds })
}

describe('on Valkey', () => {
  const connection = onValkey({ settings: { 'cluster-node-timeout': '2000' } })
  queueBehaviour(connection)
  bundleBehaviour(connection)
  manyBehaviour(connection)
  peekBehaviour(connection)
  workerBehaviour(connection)
  lostWorkerBehaviour(connection)
})

describe('a task that is fsynced', () => {
  const numbers = Array.from({ length: 200 }, (_, i) => i)

  async function connected(
    cluster: LocalCluster,
    options: object = {},
  ): Promise<TaskQueue<{ note: number }>> {
    const connection: ConnectionOptions = { mode: 'cluster', nodes: cluster.seeds }
    const queue = new TaskQueue<{ note: number }>('kept', { connection, durability: 'fsynced', ...options })
    await queue.connect()
    return queue
  }

  it('is there when every node was killed at once', async () => {
    const cluster = await ownCluster({ redisPath })
    const queue = await connected(cluster)
    await Promise.all(
      numbers.map((note) =>
        queue.enqueue('note', note, note % 5 === 0 ? { partitionKey: `k${note % 7}` } : {}),
      ),
    )
    await Promise.all(cluster.nodes.map(({ port }) => cluster.killNode(port)))
    for (const { port } of cluster.nodes) await cluster.restartNode(port)
    await cluster.waitUntilReady()
    const found: number[] = []
    while (found.length < numbers.length) {
      const deliveries = await queue.dequeue({ count: 100, blockMs: 5_000 })
      expect(deliveries).not.toEqual([])
      found.push(...deliveries.map(({ data }) => data))
      await Promise.all(deliveries.map((each) => each.complete()))
    }
    expect(found.sort((a, b) => a - b)).toEqual(numbers)
    await queue.disconnect()
  })

  it('is not confirmed by a replica that keeps no log', async () => {
    const cluster = await ownCluster({ redisPath })
    const queue = await connected(cluster, { enqueueTimeoutMs: 4_000 })
    await queue.enqueue('note', 0)
    const replicas = cluster.nodes.filter(({ role }) => role === 'replica')
    for (const { port } of replicas) await tell(port, 'CONFIG', 'SET', 'appendonly', 'no')
    // Which of the two depends on whether the shards were known to be short already.
    const error = await queue.enqueue('note', 1).catch((refused: Error) => refused)
    expect(['NotReplicatedError', 'QueueUnavailableError']).toContain((error as Error).name)
    for (const { port } of replicas) await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
    await eventually(() => queue.enqueue('note', 2), 20_000)
    await queue.disconnect()
  })

  it('needs a log on the master: said when it connects', async () => {
    const cluster = await ownCluster({ redisPath, settings: { appendonly: 'no' } })
    await expect(connected(cluster)).rejects.toThrow(/'fsynced' needs WAITAOF.*appendonly yes/)
  })
})
