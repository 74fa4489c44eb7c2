import type { ConnectionOptions } from '../connection/options.js'
import { TaskQueue } from '../queue/task-queue.js'
import { Worker } from '../worker/worker.js'
import type { BenchClient, WorkOptions } from './client.js'

interface BenchTasks {
  bench: string
}

export async function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  const queue = new TaskQueue<BenchTasks>(name, { connection })
  await queue.connect()
  let worker: Worker<BenchTasks> | undefined
  return {
    enqueueMany: (payloads) => queue.enqueueMany(payloads.map((data) => ({ type: 'bench', data }))),
    enqueue: (payload) => queue.enqueue('bench', payload),
    async work({ concurrency, onStart, onDone }: WorkOptions) {
      worker = new Worker<BenchTasks>(
        name,
        { bench: ({ data }) => onStart(data) },
        { connection, concurrency },
      )
      worker.on('completed', onDone)
      await worker.start()
    },
    async close() {
      await worker?.stop()
      await queue.disconnect()
    },
  }
}
