import { expect, it } from 'vitest'
import { TaskQueue } from '../../../src/index.js'
import { queueKey } from '../../../src/keys/keys.js'
import { slotOf } from '../../../src/keys/slots.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

it('a queue keeps its number of partitions when the master that decided it is lost, and its replica never heard of it', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '2000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const { nodes } = await cluster.status()
  const slot = slotOf(queueKey('kept'))
  const master = nodes.find(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to))
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  if (!master || !replica) throw new Error('no shard')

  // The replica is late while the queue is made: that waits for it, or until the cluster has given it up.
  await cluster.freezeNode(replica.port)
  const producer = new TaskQueue<{ note: number }>('kept', {
    connection,
    partitions: 24,
    enqueueTimeoutMs: 1_000,
  })
  await expect(producer.connect()).rejects.toThrow(
    `not safe in ${queueKey('kept')} on ${master.host}:${master.port}`,
  )
  await cluster.resumeNode(replica.port)
  await producer.connect()
  await producer.enqueueMany(Array.from({ length: 100 }, (_, i) => ({ type: 'note' as const, data: i })))

  // The one copy that there used to be is gone, with whatever became of its master; a client that does not know opens the queue.
  await tell(master.port, 'DEL', queueKey('kept'))
  const worker = new TaskQueue<{ note: number }>('kept', { connection })
  await worker.connect()
  try {
    expect((await worker.depth()).ready.medium).toBe(100)
    const seen: number[] = []
    await until(
      'all are delivered',
      async () => {
        const deliveries = await worker.dequeue({ count: 100, blockMs: 500 })
        seen.push(...deliveries.map(({ data }) => data))
        return seen.length
      },
      (count) => count === 100,
    )
    await until(
      'the copy is written again',
      () => tell(master.port, 'HGET', queueKey('kept'), 'partitions'),
      (count) => count === '24',
    )
  } finally {
    await Promise.all([producer.disconnect(), worker.disconnect()])
  }
}, 40_000)
