import { expect, it } from 'vitest'
import { TaskQueue, Worker } from '../../../src/index.js'
import { makePartitions, partitionOfKey } from '../../../src/keys/partitions.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

/** Of each key that the replica loads, in µs: stands for a data set of some GB. */
const LOAD_DELAY_US = 50_000
const KEYS = 400
/** Far below what the load takes, far above what a worker needs. */
const FLOWS_MS = 8_000

it('a shard flows on while its only replica is receiving its first copy: completions and hand-outs wait for nobody', async () => {
  const cluster = await ownCluster({
    settings: {
      'cluster-node-timeout': '5000',
      'repl-diskless-sync-delay': '0',
      'enable-debug-command': 'yes',
      // So that as many bytes are loaded as are stored: it looks up from loading by bytes.
      rdbcompression: 'no',
      appendonly: 'no',
      save: '',
    },
  })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const { nodes } = await cluster.status()
  const master = nodes.find(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  if (!master || !replica) throw new Error('no shard')
  const mine = makePartitions('resync', 12).filter(({ slot }) =>
    master.slots.some(([from, to]) => from <= slot && slot <= to),
  )
  let key = 0
  while (!mine.some(({ index }) => index === partitionOfKey(`k${key}`, 12))) key++
  const tag = /{(.*)}/.exec(mine[0]?.keys.tasks ?? '')?.[1]
  const queue = new TaskQueue<{ note: number }>('resync', { connection, enqueueTimeoutMs: 3_000 })
  await queue.connect()
  let ran = 0
  let keyed = 0
  const worker = new Worker<{ note: number }>(
    'resync',
    {
      note: ({ data }) => {
        ran++
        if (data < 0) keyed++
      },
    },
    { connection },
  )
  try {
    await queue.pause()
    await queue.enqueue('note', -1, { partitionKey: `k${key}` })
    await queue.enqueueMany(Array.from({ length: 300 }, (_, i) => ({ type: 'note' as const, data: i })))
    for (let i = 0; i < KEYS; i++) await tell(master.port, 'SET', `{${tag}}k${i}`, 'x'.repeat(500))
    // What it has is worth nothing, and it has to take all anew; slowly.
    await tell(replica.port, 'CONFIG', 'SET', 'key-load-delay', LOAD_DELAY_US)
    await tell(replica.port, 'CONFIG', 'SET', 'loading-process-events-interval-bytes', 1024)
    await tell(master.port, 'DEBUG', 'CHANGE-REPL-ID')
    await tell(master.port, 'CLIENT', 'KILL', 'TYPE', 'replica')
    await until(
      'the replica is loading',
      () => tell(replica.port, 'INFO', 'persistence'),
      (info) => info.includes('\nloading:1'),
    )
    const startedMs = performance.now()
    await queue.resume()
    await worker.start()
    await until(
      'all tasks run',
      async () => [ran, keyed] as const,
      ([all]) => all === 301,
      FLOWS_MS,
    )
    expect(keyed).toBe(1)
    await worker.stop()
    expect(performance.now() - startedMs).toBeLessThan(FLOWS_MS + 2_000)
    expect(await tell(replica.port, 'INFO', 'persistence')).toContain('\nloading:1')

    // New tasks with a key of this shard wait, and are told why.
    await expect(queue.enqueue('note', -2, { partitionKey: `k${key}` })).rejects.toThrow(
      'is still receiving its first copy',
    )
    await tell(replica.port, 'CONFIG', 'SET', 'key-load-delay', 0)
    await until(
      'it takes them again, when the copy is whole',
      () =>
        queue.enqueue('note', -3, { partitionKey: `k${key}` }).then(
          () => true,
          () => false,
        ),
      (taken) => taken,
    )
  } finally {
    await worker.stop()
    await queue.disconnect()
  }
})
