import { Connection } from '../connection/connection.js'
import { QueueNotFoundError } from '../errors.js'
import { queueKey } from '../keys/keys.js'
import { slotOf } from '../keys/slots.js'
import type { QueueOptions } from './queue-options.js'
import { TaskQueue } from './task-queue.js'

/**
 * Opens a queue that is there; unlike `new TaskQueue` and `connect`, it makes none of a name that was mistyped.
 * @throws QueueNotFoundError, and as TaskQueue.connect
 */
export async function openQueue(name: string, options: QueueOptions): Promise<TaskQueue> {
  const queue = new TaskQueue(name, options)
  const connection = new Connection(queue.options.connection)
  await connection.start(name)
  try {
    const key = queueKey(name)
    const [partitions] = await connection.commands(name, slotOf(key), [['HGET', key, 'partitions']], {
      lane: 'inspect',
      timeoutMs: queue.options.enqueueTimeoutMs,
    })
    if (partitions === null) throw new QueueNotFoundError(name)
  } finally {
    connection.stop()
  }
  await queue.connect()
  return queue
}
