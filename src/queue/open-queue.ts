import type { QueueOptions } from './queue-options.js'
import { TaskQueue } from './task-queue.js'

/**
 * Opens a queue that is there; unlike `new TaskQueue` and `connect`, it makes none of a name that was mistyped.
 * @throws QueueNotFoundError, and as TaskQueue.connect
 */
export async function openQueue(name: string, options: QueueOptions): Promise<TaskQueue> {
  const queue = new TaskQueue(name, options)
  await queue.connectIfThere()
  return queue
}
