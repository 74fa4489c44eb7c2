import { Queue, Worker } from 'bullmq'
import { Cluster, Redis } from 'ioredis'
import type { BenchClient, WorkOptions } from '../../src/bench/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'

interface Data {
  payload: string
}

const KEEP_NOTHING = { removeOnComplete: true } as const

/** BullMQ as its documentation would have it: addBulk, a worker with concurrency, finished jobs removed at once. */
export function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  return openAll(connection, [name])
}

/** Queues of these names, the load shared among them: the advice for using more of a cluster than one master. */
export async function openAll(connection: ConnectionOptions, names: readonly string[]): Promise<BenchClient> {
  const clients: (Cluster | Redis)[] = []
  const client = () => {
    const made =
      connection.mode === 'cluster'
        ? new Cluster([...connection.nodes], { redisOptions: { maxRetriesPerRequest: null } })
        : new Redis(connection.url, { maxRetriesPerRequest: null })
    clients.push(made)
    return made
  }
  // All keys of one queue have to be in one slot, hence the braces.
  const queues = names.map((name) => new Queue<Data>(name, { connection: client(), prefix: `{${name}}` }))
  const workers: Worker<Data>[] = []
  await Promise.all(queues.map((queue) => queue.waitUntilReady()))
  let turn = 0
  const next = () => queues[turn++ % queues.length] as Queue<Data>
  return {
    enqueueMany: (payloads) =>
      next().addBulk(payloads.map((payload) => ({ name: 'bench', data: { payload }, opts: KEEP_NOTHING }))),
    enqueue: (payload) => next().add('bench', { payload }, KEEP_NOTHING),
    async work({ concurrency, onStart, onDone }: WorkOptions) {
      for (const name of names) {
        const worker = new Worker<Data>(name, async ({ data }) => onStart(data.payload), {
          connection: client(),
          prefix: `{${name}}`,
          concurrency,
        })
        worker.on('completed', onDone)
        workers.push(worker)
      }
      await Promise.all(workers.map((worker) => worker.waitUntilReady()))
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()))
      await Promise.all(queues.map((queue) => queue.close()))
      for (const each of clients) each.disconnect()
    },
  }
}
