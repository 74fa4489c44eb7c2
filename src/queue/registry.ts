import { Connection } from '../connection/connection.js'
import type { ConnectionOptions } from '../connection/options.js'
import { PartitionConflictError, QueueUnavailableError } from '../errors.js'
import { QUEUES_KEY, queueKey } from '../keys/keys.js'
import { slotOf } from '../keys/slots.js'
import { PartitionCount } from './partition-count.js'

/** Names of queues, and into how many partitions each is divided, which never changes. */
export type QueueList = ReadonlyMap<string, number>

const SLOT = slotOf(QUEUES_KEY)
/** Most names that are looked at, those of queues whose keys were removed among them. */
const MOST_NAMES = 10_000

/**
 * Writes down that there is a queue, if that is not known. Nothing that the queue does itself depends on it.
 * @throws QueueUnavailableError after `timeoutMs`, NotConnectedError when the connection is stopped before
 */
export async function registerQueue(connection: Connection, queue: string, timeoutMs: number): Promise<void> {
  const send = (...command: [string, ...string[]]) =>
    connection.commands(queue, SLOT, [command], { lane: 'inspect', timeoutMs })
  const [known] = await send('SISMEMBER', QUEUES_KEY, queue)
  // Asked first, since a master whose memory is full refuses a write that would change nothing, too.
  if (known === 0) await send('SADD', QUEUES_KEY, queue)
}

/** Strikes a queue from the list of all queues. @returns whether it was there @throws as `registerQueue` */
export async function unregisterQueue(
  connection: Connection,
  queue: string,
  timeoutMs: number,
): Promise<boolean> {
  const commands = [['SREM', QUEUES_KEY, queue]] as const
  const [removed] = await connection.commands(queue, SLOT, commands, { lane: 'inspect', timeoutMs })
  return removed === 1
}

/** As `unregisterQueue`, for one who has no connection. @throws as TaskQueue.connect */
export async function strikeName(
  options: ConnectionOptions,
  queue: string,
  timeoutMs: number,
): Promise<boolean> {
  const connection = new Connection(options)
  await connection.start(queue)
  try {
    return await unregisterQueue(connection, queue, timeoutMs)
  } finally {
    connection.stop()
  }
}

/**
 * All queues of a cluster whose keys are still there, ordered by name, and not more than `most`.
 * @param known is taken for right, and not asked for again
 * @throws QueueUnavailableError after `timeoutMs`
 */
export async function readQueues(
  connection: Connection,
  options: { readonly timeoutMs: number; readonly most: number; readonly known?: QueueList },
): Promise<QueueList> {
  const { timeoutMs, most, known } = options
  const ask = async (slot: number, ...command: [string, ...string[]]) => {
    const [reply] = await connection.commands(QUEUES_KEY, slot, [command], { lane: 'inspect', timeoutMs })
    return reply
  }
  const names = ((await ask(SLOT, 'SMEMBERS', QUEUES_KEY)) as string[]).sort().slice(0, MOST_NAMES)
  const counts = await Promise.all(
    names.map(async (name) => known?.get(name) ?? (await storedCount(connection, name, timeoutMs))),
  )
  const queues = names.map((name, i) => [name, counts[i] ?? 0] as const)
  return new Map(queues.filter(([, partitions]) => partitions > 0).slice(0, most))
}

/** By the first copy of the number, and by the others only where that one cannot tell; 0: the queue is not there. */
async function storedCount(connection: Connection, queue: string, timeoutMs: number): Promise<number> {
  const key = queueKey(queue)
  try {
    const [first] = await connection.commands(queue, slotOf(key), [['HGET', key, 'partitions']], {
      lane: 'inspect',
      timeoutMs: 0,
    })
    if (first !== null) return Number(first)
  } catch (error) {
    if (!(error instanceof QueueUnavailableError)) throw error
  }
  try {
    return (await new PartitionCount(queue, connection, undefined, timeoutMs).find()) ?? 0
  } catch (error) {
    // It is listed all the same; its own clients tell what is wrong with it.
    if (error instanceof PartitionConflictError) return error.found[0]?.partitions ?? 0
    throw error
  }
}

/**
 * Names of all queues of a cluster, or of a single Redis, in order.
 * @throws as TaskQueue.connect; QueueUnavailableError while the one master that knows them is down
 */
export async function listQueues(options: ConnectionOptions): Promise<string[]> {
  const connection = new Connection(options)
  await connection.start(QUEUES_KEY)
  try {
    const timeoutMs = connection.commandTimeoutMs
    return [...(await readQueues(connection, { timeoutMs, most: MOST_NAMES })).keys()]
  } finally {
    connection.stop()
  }
}
