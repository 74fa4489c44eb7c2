import { setTimeout as sleep } from 'node:timers/promises'
import { Connection } from '../connection/connection.js'
import type { ConnectionOptions } from '../connection/options.js'
import { PartitionConflictError, QueueUnavailableError } from '../errors.js'
import { QUEUES_KEY, queueKey } from '../keys/keys.js'
import { slotOf } from '../keys/slots.js'
import { PartitionCount } from './partition-count.js'
import { isName } from './validate.js'

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

/** What a look at the list of queues has found. */
export interface FoundQueues {
  readonly queues: QueueList
  /** Names of queues whose number of partitions could not be read, since no node of its shard answers. */
  readonly unread: readonly string[]
}

/**
 * All queues of a cluster whose keys are still there, ordered by name, and not more than `most`. What a master does not tell soon is
 * asked of its replica as well: names and numbers of partitions do not change, so that an old answer is as good.
 * @param known is taken for right, and not asked for again
 * @throws QueueUnavailableError after `timeoutMs`, when no node tells the names
 */
export async function readQueues(
  connection: Connection,
  options: { readonly timeoutMs: number; readonly most: number; readonly known?: QueueList },
): Promise<FoundQueues> {
  const { timeoutMs, most, known } = options
  const ask = async (slot: number, ...command: [string, ...string[]]) => {
    const [reply] = await readAnywhere(connection, slot, command, timeoutMs)
    return reply
  }
  // Whoever has a queue of their own may write here: what no queue can be called has its keys in other slots than we would ask.
  const listed = ((await ask(SLOT, 'SMEMBERS', QUEUES_KEY)) as string[]).filter(isName)
  const names = listed.sort().slice(0, MOST_NAMES)
  const counts = await Promise.all(
    names.map(async (name) => {
      const count = known?.get(name)
      if (count !== undefined) return count
      try {
        return await storedCount(connection, name, timeoutMs)
      } catch (error) {
        if (error instanceof QueueUnavailableError) return null
        throw error
      }
    }),
  )
  const queues = names.flatMap((name, i) => {
    const partitions = counts[i] ?? 0
    return partitions > 0 ? [[name, partitions] as const] : []
  })
  const unread = names.filter((_, i) => counts[i] === null)
  return { queues: new Map(queues.slice(0, most)), unread }
}

/**
 * A replica is asked when this part of the time is over and its master has not answered; and one that is known to be down, and
 * has no replica, gets no more than that.
 */
const HEDGE_SHARE = 0.2

/** @throws what the master failed with, when its replica does not answer either */
async function readAnywhere(
  connection: Connection,
  slot: number,
  command: [string, ...string[]],
  timeoutMs: number,
): Promise<unknown[]> {
  const ask = (lane: 'inspect' | 'read', patienceMs = timeoutMs) =>
    connection.commands(QUEUES_KEY, slot, [command], { lane, timeoutMs: patienceMs })
  const owner = connection.topology.ownerOf(slot)
  const hasReplica = owner !== undefined && connection.topology.replicasOf(owner).some(({ up }) => up)
  if (!hasReplica) return ask('inspect', owner?.up === false ? timeoutMs * HEDGE_SHARE : timeoutMs)
  const first = ask('inspect')
  const over = new AbortController()
  try {
    const pause = owner.up ? timeoutMs * HEDGE_SHARE : 0
    const second = sleep(pause, undefined, { signal: over.signal }).then(() => ask('read'))
    return await Promise.any([first, second])
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error
  } finally {
    over.abort()
  }
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
 * @throws as TaskQueue.connect; QueueUnavailableError while no node of a shard answers that has to be asked
 */
export async function listQueues(options: ConnectionOptions): Promise<string[]> {
  const connection = new Connection(options)
  await connection.start(QUEUES_KEY)
  try {
    const timeoutMs = connection.commandTimeoutMs
    const { queues, unread } = await readQueues(connection, { timeoutMs, most: MOST_NAMES })
    const [first] = unread
    if (first !== undefined)
      throw new QueueUnavailableError(first, `no node of its shard answered within ${timeoutMs} ms`)
    return [...queues.keys()]
  } finally {
    connection.stop()
  }
}
