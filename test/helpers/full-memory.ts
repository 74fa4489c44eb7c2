import { onTestFinished } from 'vitest'
import { withLink } from '../../src/cluster/link.js'
import { type Address, type SingleServer, startSingle } from '../../src/cluster.js'
import { type Handlers, type QueueOptions, TaskQueue, Worker, type WorkerOptions } from '../../src/index.js'
import type { TestTasks } from './behaviour/harness.js'

/** A server for one test alone, with queues and workers on it; all is ended when the test finishes. */
export async function ownServer() {
  const server = await startSingle({ settings: { 'maxmemory-policy': 'noeviction' } })
  onTestFinished(() => server.stop())
  return { server, ...clientsOf({ mode: 'single', url: server.url }) }
}

export function clientsOf(connection: QueueOptions['connection']) {
  return {
    async queue(options: Partial<QueueOptions> = {}): Promise<TaskQueue<TestTasks>> {
      const queue = new TaskQueue<TestTasks>('q', { connection, ...options })
      onTestFinished(() => queue.disconnect())
      await queue.connect()
      return queue
    },
    /** Started, and listened to for errors. */
    async worker(handlers: Handlers<TestTasks>, options: Partial<WorkerOptions> = {}) {
      const worker = new Worker<TestTasks>('q', handlers, { connection, ...options })
      const errors: Error[] = []
      worker.on('error', (error) => errors.push(error))
      onTestFinished(() => worker.stop({ timeoutMs: 0 }))
      await worker.start()
      return Object.assign(worker, { errors })
    },
  }
}

/** From here on each of them is over maxmemory: it refuses whatever may need memory. */
export async function fillMemory(nodes: readonly (Address | SingleServer)[]): Promise<void> {
  await limitMemory(nodes, '1')
  onTestFinished(() => limitMemory(nodes, '0'))
}

export async function limitMemory(nodes: readonly (Address | SingleServer)[], bytes: string): Promise<void> {
  for (const node of nodes) await withLink(node, {}, (link) => link.text('CONFIG', 'SET', 'maxmemory', bytes))
}
