import { setTimeout as sleep } from 'node:timers/promises'
import { type ConnectionOptions, TaskQueue, Worker } from '../../src/index.js'

interface Tasks {
  job: { n: number }
}

export interface Load {
  readonly queue: string
  stop(): Promise<void>
}

/** Some tasks a second, of every priority, some of them later, some that fail at their first attempt; and a worker. */
export async function startLoad(connection: ConnectionOptions): Promise<Load> {
  const name = 'watched'
  const queue = new TaskQueue<Tasks>(name, {
    connection,
    confirmTimeoutMs: 2_000, // a replica on a busy machine is no replica that is gone
  })
  const worker = new Worker<Tasks>(
    name,
    {
      job: async (task) => {
        if (task.attempt === 1 && task.data.n % 50 === 0) throw new Error('at first it fails')
        await sleep(2)
      },
    },
    { connection, concurrency: 20 },
  )
  // What a dying master does to them is not what is tested here.
  queue.on('error', () => {})
  worker.on('error', () => {})
  await queue.connect()
  await worker.start()
  let running = true
  const produced = (async () => {
    for (let n = 1; running; n++) {
      const priority = (['high', 'medium', 'low'] as const)[n % 3] ?? 'medium'
      const sent = queue.enqueue('job', { n }, { priority, ...(n % 20 === 0 ? { delayMs: 500 } : {}) })
      // Refused while a master is being replaced, as a producer is told.
      sent.catch(() => {})
      await sleep(10)
    }
  })()
  return {
    queue: name,
    async stop() {
      running = false
      await produced
      await worker.stop({ timeoutMs: 5_000 })
      await queue.disconnect()
    },
  }
}
