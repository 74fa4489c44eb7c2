import type { ConnectionOptions } from '../connection/options.js'
import { type NewItem, TaskQueue } from '../queue/task-queue.js'
import { Worker } from '../worker/worker.js'
import type { BenchClient, BenchSettings, WorkOptions } from './client.js'

interface BenchTasks {
  bench: string
}

export function open(
  connection: ConnectionOptions,
  name: string,
  settings: BenchSettings,
): Promise<BenchClient> {
  return openWith(connection, name, settings, () => {})
}

/** `seen` is shown the queue and each worker before they do anything. */
export async function openWith(
  connection: ConnectionOptions,
  name: string,
  settings: BenchSettings,
  seen: (subject: TaskQueue<BenchTasks> | Worker<BenchTasks>) => void,
): Promise<BenchClient> {
  const queue = new TaskQueue<BenchTasks>(name, { connection, ...settings })
  seen(queue)
  await queue.connect()
  const workers: Worker<BenchTasks>[] = []
  return {
    enqueueMany: (payloads) => queue.enqueueMany(payloads.map((data) => ({ type: 'bench', data }))),
    enqueueAll: (payloads) => queue.enqueueMany(tasksOf(payloads)),
    enqueue: (payload) => queue.enqueue('bench', payload),
    async work({ concurrency, onStart, onDone }: WorkOptions) {
      const worker = new Worker<BenchTasks>(
        name,
        { bench: ({ data }) => onStart(data) },
        { connection, concurrency, ...settings },
      )
      worker.on('completed', onDone)
      seen(worker)
      workers.push(worker)
      await worker.start()
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.stop()))
      await queue.disconnect()
    },
  }
}

function* tasksOf(payloads: Iterable<string>): Generator<NewItem<BenchTasks>> {
  for (const data of payloads) yield { type: 'bench', data }
}
