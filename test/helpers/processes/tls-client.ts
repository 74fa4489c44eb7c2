/**
 * A process with a queue and a worker, which tells its parent of every error event, and enqueues on and on: CONNECTION in the
 * environment. `told`: another text of an error.
 */
import { type ConnectionOptions, TaskQueue, Worker } from '../../../src/index.js'

const connection = JSON.parse(process.env.CONNECTION ?? '') as ConnectionOptions
const queue = new TaskQueue<{ note: number }>('tls', {
  connection,
  durability: 'async',
  enqueueTimeoutMs: 1_000,
})
const worker = new Worker<{ note: number }>('tls', { note: async () => {} }, { connection })
const told = new Set<string>()
const tell = (error: Error) => {
  if (told.has(error.message)) return
  told.add(error.message)
  process.send?.({ told: error.message })
}
worker.on('error', tell)
queue.on('error', tell)
await worker.start()
await queue.connect()
await queue.enqueue('note', 1)
process.send?.('works')
setInterval(() => void queue.enqueue('note', 2).catch(tell), 20)
