import Bull from 'bull'
import type { BenchClient, WorkOptions } from '../../src/bench/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'

interface Data {
  payload: string
}

/** Bull as its documentation would have it: addBulk, a worker with concurrency, finished jobs removed at once. */
export async function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  // There it would need all keys in one slot, and so be one queue on one master, as BullMQ is that is measured there.
  if (connection.mode === 'cluster') throw new Error('Bull is measured on one server')
  const { url } = connection
  const make = () => {
    const queue = new Bull<Data>(name, url, { defaultJobOptions: { removeOnComplete: true } })
    // It goes on in silence otherwise, and the reading would wait for tasks that never come.
    queue.on('error', (error) => {
      throw error
    })
    return queue
  }
  const producer = make()
  const workers: Bull.Queue<Data>[] = []
  await producer.isReady()
  return {
    enqueueMany: (payloads) => producer.addBulk(payloads.map((payload) => ({ data: { payload } }))),
    enqueue: (payload) => producer.add({ payload }),
    async work({ concurrency, onStart, onDone }: WorkOptions) {
      const worker = make()
      workers.push(worker)
      await worker.isReady()
      worker.on('completed', onDone)
      // It resolves when the worker is closed; where it fails, it ends the process, and the reading with it.
      void worker.process(concurrency, async ({ data }) => onStart(data.payload))
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()))
      await producer.close()
    },
  }
}
