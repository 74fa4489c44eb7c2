import BeeQueue from 'bee-queue'
import type { BenchClient, WorkOptions } from '../../src/bench/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'

interface Data {
  payload: string
}

/** What its documentation has one turn off: nobody here waits for the events of a job, or asks for one that is done. */
const LEAN = { getEvents: false, sendEvents: false, storeJobs: false, removeOnSuccess: true } as const

/** bee-queue as its documentation would have it: saveAll, producers that are no workers, a worker with concurrency. */
export async function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  // It takes a client of one server and no other, and that follows no redirect (its lib/redis.js, and its issue 16).
  if (connection.mode === 'cluster') throw new Error('bee-queue cannot run on a cluster')
  const { url } = connection
  const producer = new BeeQueue<Data>(name, { ...LEAN, redis: { url }, isWorker: false })
  const workers: BeeQueue<Data>[] = []
  await producer.ready()
  return {
    async enqueueMany(payloads) {
      const jobs = payloads.map((payload) => producer.createJob({ payload }))
      // It resolves whatever became of the jobs.
      const [failed] = (await producer.saveAll(jobs)).values()
      if (failed) throw failed
    },
    enqueue: (payload) => producer.createJob({ payload }).save(),
    async work({ concurrency, onStart, onDone }: WorkOptions) {
      const worker = new BeeQueue<Data>(name, { ...LEAN, redis: { url } })
      workers.push(worker)
      await worker.ready()
      worker.on('succeeded', onDone)
      worker.process(concurrency, async ({ data }) => onStart(data.payload))
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()))
      await producer.close()
    },
  }
}
