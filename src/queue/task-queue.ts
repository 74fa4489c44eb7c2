import { EventEmitter } from 'node:events'
import { confirmationFor } from '../connection/confirmation.js'
import { Connection } from '../connection/connection.js'
import type { NodeCounters } from '../connection/node.js'
import {
  InvalidDataError,
  InvalidOptionError,
  NotConnectedError,
  PartitionMismatchError,
  TaskNotFoundError,
} from '../errors.js'
import { queueKey } from '../keys/keys.js'
import { makePartitions, type Partition } from '../keys/partitions.js'
import { slotOf } from '../keys/slots.js'
import type { FetchedTask } from '../scripts/exchange.js'
import { failCall } from '../scripts/lease.js'
import { openCall } from '../scripts/open.js'
import { pauseCall } from '../scripts/pause.js'
import { Consumer } from './consumer.js'
import { DeadLetters } from './dead-letters.js'
import {
  type Checkpoint,
  Delivery,
  type DeliveryHost,
  LEAST_LEASE_MS,
  LONGEST_LEASE_MS,
  saveCheckpoint,
} from './delivery.js'
import { Durability } from './durability.js'
import { Encoder } from './encoder.js'
import { enqueueMany } from './enqueue-many.js'
import type { EnqueueOptions, Priority } from './enqueue-options.js'
import type { ShardState } from './gate.js'
import { type Depth, type Health, Inspection } from './inspection.js'
import type { Lease } from './lease.js'
import { MOST_PEEKED } from './peek.js'
import { Producer, type ProducerCounters } from './producer.js'
import {
  DEFAULT_PARTITIONS,
  type QueueOptions,
  type ResolvedQueueOptions,
  resolveQueueOptions,
} from './queue-options.js'
import { registerQueue } from './registry.js'
import { decodeRecord, encodeError, type Level, levelOf, PRIORITIES } from './task.js'
import { storedTaskView, type Task } from './task-view.js'
import { checkInteger, checkKeys, checkName, checkOneOf, checkText } from './validate.js'
import type { VerifyReport } from './verify/report.js'
import { type VerifyOptions, verifyQueue } from './verify.js'

/** Names of a queue's task types. */
export type TypeOf<Tasks> = Extract<keyof Tasks, string>

/** A delivery of any of the queue's types; its `type` tells which, and so what `data` is. */
export type AnyDelivery<Tasks> = { [Type in TypeOf<Tasks>]: Delivery<Type, Tasks[Type]> }[TypeOf<Tasks>]

export type NewItem<Tasks> = {
  [Type in TypeOf<Tasks>]: {
    readonly type: Type
    readonly data: Tasks[Type]
    readonly options?: EnqueueOptions
  }
}[TypeOf<Tasks>]

export interface DequeueOptions {
  /** Most tasks. Default 1, at most 1,000. */
  readonly count?: number
  /** Longest wait for the first one, in ms. Default 5,000. */
  readonly blockMs?: number
  /** Ms until a delivery that was neither settled nor extended is given out again. Default 30,000, at least 500. */
  readonly leaseMs?: number
  /** Only tasks of this priority. */
  readonly priority?: Priority
}

export interface ClientStats extends ProducerCounters {
  /** Redirects followed; per node too. */
  readonly redirects: number
  readonly nodes: Readonly<Record<string, NodeCounters>>
}

/** What stands here is of the whole queue; what `ClientStats` has, of this client. */
export interface Stats extends ClientStats {
  /** Of the whole queue, since it was made. */
  readonly enqueued: number
  readonly delivered: number
  readonly completed: number
  readonly failed: number
  readonly retried: number
  readonly dead: number
  readonly recovered: number
}

export interface QueueEvents {
  /** Something went wrong in the background. Without a listener nothing happens: it never crashes the process. */
  error: [Error]
  /** A shard's master changed its state. */
  shard: [{ readonly node: string; readonly state: ShardState }]
}

interface Parts {
  readonly connection: Connection
  readonly durability: Durability
  readonly partitions: readonly Partition[]
  readonly producer: Producer
  readonly consumer: Consumer
  readonly inspection: Inspection
  readonly deadLetters: DeadLetters
  readonly deliveryHost: DeliveryHost
  /** The queue is written down among all others, or could not be. */
  readonly registered: Promise<void>
}

/** One logical queue over every master of a Redis Cluster, or on a single Redis. */
export class TaskQueue<Tasks = Record<string, unknown>> extends EventEmitter<QueueEvents> {
  readonly name: string
  readonly options: ResolvedQueueOptions
  #parts: Parts | undefined
  #connecting: Promise<void> | undefined
  readonly #shardStates = new Map<string, ShardState>()
  readonly #encoder: Encoder

  /** @throws InvalidOptionError */
  constructor(name: string, options: QueueOptions) {
    super()
    this.name = checkName('name', name)
    this.options = resolveQueueOptions(options)
    this.#encoder = new Encoder(this.options.maxPayloadBytes)
  }

  /**
   * Finds the nodes and opens the queue, making it if it is new. Safe to call twice.
   * @throws AuthenticationError, ServerTooOldError, WrongModeError, PartitionMismatchError, InvalidOptionError
   * @throws QueueUnavailableError if no node answers within `connection.connectTimeoutMs` (5 s)
   */
  async connect(): Promise<void> {
    if (this.#parts) return
    this.#connecting ??= this.#open().finally(() => {
      this.#connecting = undefined
    })
    await this.#connecting
  }

  /** Sends what is waiting, waits for acknowledgements, closes every socket and timer. Safe to call twice. */
  async disconnect(): Promise<void> {
    await this.#connecting?.catch(() => undefined)
    const parts = this.#parts
    this.#parts = undefined
    if (!parts) return
    await Promise.all([
      parts.producer.close(),
      parts.consumer.stop(this.options.enqueueTimeoutMs),
      // Of a program that is soon done as well; but not for as long as a dead shard may take.
      within(parts.connection.commandTimeoutMs, parts.registered),
    ])
    parts.connection.stop()
    await parts.registered
  }

  /**
   * Stores a task; resolves with its id only when the queue's durability holds.
   * @throws InvalidOptionError, InvalidDataError, PayloadTooLargeError at once
   * @throws QueueUnavailableError, QueueFullError (nothing is stored), NotReplicatedError (stored but unconfirmed)
   *         after `enqueueTimeoutMs`
   */
  enqueue<Type extends TypeOf<Tasks>>(
    type: Type,
    data: Tasks[Type],
    options?: EnqueueOptions,
  ): Promise<string> {
    try {
      return this.#ready().producer.enqueue(this.#encoder.task(type, data, options))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Stores many tasks, no faster than the cluster takes them; resolves with their ids in order.
   *
   * An array is checked as a whole before the first is sent. Of anything else that can be iterated, a generator for
   * instance, items are taken as there is room for them; so a million tasks need no memory but for their ids.
   * @throws InvalidOptionError, InvalidDataError, PayloadTooLargeError for the first bad item of an array; nothing is stored
   * @throws EnqueueManyError if some were not stored; it has the ids of the others, and an error for each. The
   *         first bad item of what is not an array is the last that is taken
   */
  async enqueueMany(items: Iterable<NewItem<Tasks>> | AsyncIterable<NewItem<Tasks>>): Promise<string[]> {
    const { producer } = this.#ready()
    if (typeof items !== 'object' || items === null || !isIterable(items)) {
      const problem = 'expected an array, or anything else that can be iterated, of { type, data, options? }'
      throw new InvalidOptionError('items', problem)
    }
    return enqueueMany(producer, this.#encoder, items)
  }

  /**
   * Takes up to `count` tasks, the highest priority first over all partitions; [] after `blockMs` without any.
   * A task whose record cannot be decoded goes to the dead letters and is not delivered.
   */
  async dequeue(options: DequeueOptions = {}): Promise<AnyDelivery<Tasks>[]> {
    checkKeys('options', options, ['count', 'blockMs', 'leaseMs', 'priority'])
    return this.take({
      count: checkInteger('options.count', options.count ?? 1, 1, 1_000),
      blockMs: checkInteger('options.blockMs', options.blockMs ?? 5_000, 0),
      leaseMs: checkInteger('options.leaseMs', options.leaseMs ?? 30_000, LEAST_LEASE_MS, LONGEST_LEASE_MS),
      fill: true,
      levels: levelsOf(options.priority),
    })
  }

  /** What `dequeue` and the worker share. @internal */
  async take(options: Parameters<Consumer['take']>[0]): Promise<AnyDelivery<Tasks>[]> {
    const { consumer } = this.#ready()
    const deadlineMs = performance.now() + options.blockMs
    for (;;) {
      const blockMs = Math.max(0, deadlineMs - performance.now())
      const handed = await consumer.take({ ...options, blockMs })
      const deliveries: AnyDelivery<Tasks>[] = []
      for (const { lease, tasks } of handed) {
        for (const task of tasks) {
          const delivery = this.#deliver(lease, task)
          if (delivery) deliveries.push(delivery)
        }
      }
      if (deliveries.length > 0 || handed.length === 0) return deliveries
    }
  }

  /** Saves a checkpoint from outside a delivery. @throws TaskNotFoundError, PayloadTooLargeError, InvalidDataError */
  async checkpoint(id: string, step: string, data: unknown): Promise<void> {
    const parts = this.#ready()
    const found = await parts.inspection.find(checkText('id', id, 200))
    if (!found || found.task.state === 'completed') throw new TaskNotFoundError(this.name, id)
    const host = { name: this.name, options: this.options, durability: parts.durability }
    await saveCheckpoint(host, found.partition, { id, step, data, leaseId: undefined })
  }

  /** Checkpoints of a task in the order of saving; [] for one that is unknown or completed. */
  async checkpoints(id: string): Promise<Checkpoint[]> {
    const stored = await this.#ready().inspection.checkpoints(checkText('id', id, 200))
    return stored.map(({ step, data, savedAtMs }) => ({ step, data, savedAt: savedAtMs }))
  }

  /** The task with this id; null when unknown. Completed tasks are known only while `results.ttlMs` runs. */
  async getTask(id: string): Promise<Task | null> {
    const found = await this.#ready().inspection.find(checkText('id', id, 200))
    return found && storedTaskView(id, found.task)
  }

  /** How many tasks there are in each state, over all partitions. */
  depth(): Promise<Depth> {
    return this.#ready().inspection.depth()
  }

  /**
   * The tasks that are next, without taking them: by priority, and over partitions in turn. A consumer may meet another
   * order among those of one priority, since each partition has its own. Price: up to `limit` tasks are read of every partition.
   * @param options `limit` 1 to 100, default 10; `priority`: only of this one
   */
  peek(options: { readonly limit?: number; readonly priority?: Priority } = {}): Promise<Task[]> {
    checkKeys('options', options, ['limit', 'priority'])
    const most = checkInteger('options.limit', options.limit ?? 10, 1, MOST_PEEKED)
    return this.#ready().inspection.peek(most, levelsOf(options.priority))
  }

  get deadLetters(): DeadLetters {
    return this.#ready().deadLetters
  }

  /** Stops deliveries of the whole queue, for every consumer, until `resume`. Enqueueing goes on. */
  async pause(): Promise<void> {
    await this.#setPaused(true)
  }

  async resume(): Promise<void> {
    await this.#setPaused(false)
  }

  /** How each shard of the queue is. Answers within the command time-out, whatever is down. */
  health(): Promise<Health> {
    const { inspection, producer } = this.#ready()
    return inspection.health(producer.gate)
  }

  async stats(): Promise<Stats> {
    const parts = this.#ready()
    return { ...(await parts.inspection.counters()), ...clientStatsOf(parts) }
  }

  /** What `stats` has of this client, without asking a server; undefined while it is not connected. @internal */
  get clientStats(): ClientStats | undefined {
    return this.#parts && clientStatsOf(this.#parts)
  }

  /**
   * Proves that every task is in exactly one place, and that nothing else is stored for the queue. Reads only, in steps of about a
   * millisecond of a master's time; the queue may be in use. Takes about a second for each 200,000 tasks.
   * @throws QueueUnavailableError if a shard does not answer within `enqueueTimeoutMs`
   */
  verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    const { connection, partitions } = this.#ready()
    const { enqueueTimeoutMs: timeoutMs } = this.options
    return verifyQueue(this.name, connection, partitions, { ...options, timeoutMs })
  }

  /** Renews the leases of deliveries; the worker's heartbeat. @internal */
  get consumer(): Consumer {
    return this.#ready().consumer
  }

  async #open(): Promise<void> {
    const connection = new Connection(this.options.connection)
    await connection.start(this.name)
    try {
      if (this.options.durability === 'fsynced') await this.#requireWaitaof(connection)
      const asked = this.options.partitions
      const call = openCall(this.name, asked ?? DEFAULT_PARTITIONS)
      const { value: count } = await connection.call(this.name, slotOf(queueKey(this.name)), call, {
        lane: 'inspect',
        timeoutMs: this.options.enqueueTimeoutMs,
      })
      if (asked !== undefined && asked !== count) throw new PartitionMismatchError(this.name, asked, count)
      this.#parts = this.#assemble(connection, makePartitions(this.name, count))
    } catch (error) {
      connection.stop()
      throw error
    }
    connection.topology.on('change', () => this.#reportShards())
    this.#reportShards()
  }

  #assemble(connection: Connection, partitions: readonly Partition[]): Parts {
    const { options } = this
    const inspection = new Inspection(this.name, connection, partitions, options)
    const confirmation = confirmationFor(
      options.durability,
      options.connection.mode,
      options.confirmTimeoutMs,
    )
    const durability = new Durability(this.name, connection, partitions, confirmation)
    const consumer = new Consumer(
      this.name,
      connection,
      durability,
      partitions,
      options.keepResultsMs,
      (error) => this.#report(error),
    )
    return {
      connection,
      partitions,
      durability,
      producer: new Producer(
        this.name,
        connection,
        partitions,
        options,
        confirmation,
        () => this.#reportShards(),
        (error) => this.#report(error),
      ),
      consumer,
      inspection,
      deliveryHost: {
        name: this.name,
        options,
        consumer,
        durability,
        checkpoints: (id) => this.checkpoints(id),
      },
      deadLetters: new DeadLetters(this.name, connection, partitions, inspection, options),
      registered: this.#register(connection),
    }
  }

  #ready(): Parts {
    if (!this.#parts) throw new NotConnectedError(this.name)
    return this.#parts
  }

  /** In the background: the one master that lists all queues may be down. */
  async #register(connection: Connection): Promise<void> {
    try {
      await registerQueue(connection, this.name, this.options.enqueueTimeoutMs)
    } catch (cause) {
      if (connection.stopped) return
      this.#report(new Error(`queue ${this.name} is not listed among the queues of its cluster`, { cause }))
    }
  }

  async #requireWaitaof(connection: Connection): Promise<void> {
    const slot = slotOf(queueKey(this.name))
    try {
      await connection.commands(this.name, slot, [['WAITAOF', 1, 0, 1]], {
        lane: 'inspect',
        timeoutMs: this.options.enqueueTimeoutMs,
      })
    } catch (cause) {
      const problem = `'fsynced' needs WAITAOF (Redis >= 7.2) and appendonly yes: ${(cause as Error).message}`
      throw new InvalidOptionError('options.durability', problem, { cause })
    }
  }

  #deliver(lease: Lease, task: FetchedTask): AnyDelivery<Tasks> | undefined {
    try {
      const record = decodeRecord(task.id, task.record)
      return new Delivery(this.#ready().deliveryHost, lease, task, record) as unknown as AnyDelivery<Tasks>
    } catch (error) {
      if (!(error instanceof InvalidDataError)) throw error
      void this.#bury(lease, task, error)
      return undefined
    }
  }

  /** Should this fail, the lease runs out and the next consumer comes to the same end. */
  async #bury({ partition, id: leaseId }: Lease, { id }: FetchedTask, error: Error): Promise<void> {
    const call = failCall(partition.keys, {
      leaseId,
      id,
      next: 'die',
      error: encodeError(error),
    })
    const outcome = await this.#parts?.connection.attempt(partition.slot, call, { lane: 'inspect' })
    this.#report(outcome?.ok ? error : new Error(`task ${id} cannot be decoded nor buried`, { cause: error }))
  }

  async #setPaused(paused: boolean): Promise<void> {
    const { partitions, connection } = this.#ready()
    await Promise.all(
      partitions.map((partition) =>
        connection.call(this.name, partition.slot, pauseCall(partition.keys, paused), {
          lane: 'inspect',
          timeoutMs: this.options.enqueueTimeoutMs,
        }),
      ),
    )
  }

  #report(error: Error): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
  }

  #reportShards(): void {
    const parts = this.#parts
    if (!parts) return
    for (const master of parts.connection.topology.masters()) {
      const state = parts.producer.gate.stateOf(master)
      const before = this.#shardStates.get(master.name)
      this.#shardStates.set(master.name, state)
      if (before !== undefined && before !== state) this.emit('shard', { node: master.name, state })
      if (before === undefined && state !== 'open') this.emit('shard', { node: master.name, state })
    }
  }
}

function levelsOf(priority: Priority | undefined): readonly Level[] {
  return priority === undefined ? [0, 1, 2] : [levelOf(checkOneOf('options.priority', priority, PRIORITIES))]
}

function isIterable(value: object): boolean {
  return Symbol.iterator in value || Symbol.asyncIterator in value
}

function clientStatsOf({ producer, connection }: Parts): ClientStats {
  const nodes = Object.fromEntries(
    connection.topology.nodes().map((node) => [node.name, { ...node.counters }]),
  )
  const redirects = Object.values(nodes).reduce((sum, counters) => sum + counters.redirects, 0)
  return { ...producer.counters, redirects, nodes }
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([work, new Promise((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
