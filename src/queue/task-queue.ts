import { EventEmitter } from 'node:events'
import { type Confirmation, confirmationFor } from '../connection/confirmation.js'
import { Connection } from '../connection/connection.js'
import type { NodeCounters } from '../connection/node.js'
import { InvalidDataError, InvalidOptionError, NotConnectedError, TaskNotFoundError } from '../errors.js'
import { queueKey } from '../keys/keys.js'
import { makePartitions, type Partition } from '../keys/partitions.js'
import { slotOf } from '../keys/slots.js'
import type { FetchedTask } from '../scripts/exchange.js'
import { failCall } from '../scripts/lease.js'
import { type Checkpoint, saveCheckpoint } from './checkpoints.js'
import { Consumer } from './consumer.js'
import { DeadLetters } from './dead-letters.js'
import { Delivery, type DeliveryHost, LEAST_LEASE_MS, LONGEST_LEASE_MS } from './delivery.js'
import { Durability } from './durability.js'
import { emitSafely } from './emit-safely.js'
import { Encoder } from './encoder.js'
import { enqueueMany } from './enqueue-many.js'
import type { EnqueueOptions, Priority } from './enqueue-options.js'
import type { ShardState } from './gate.js'
import { type Depth, type Health, Inspection } from './inspection.js'
import type { Lease } from './lease.js'
import { PartitionCount } from './partition-count.js'
import { Pausing } from './pausing.js'
import { MOST_PEEKED } from './peek.js'
import { Producer, type ProducerCounters } from './producer.js'
import { type QueueOptions, type ResolvedQueueOptions, resolveQueueOptions } from './queue-options.js'
import { registerQueue } from './registry.js'
import { mustBeEmpty, Removal } from './removal.js'
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
  /** Of the whole queue, since it was made. `enqueued`: without copies of tasks that were removed again. */
  readonly enqueued: number
  readonly delivered: number
  readonly completed: number
  readonly failed: number
  readonly retried: number
  readonly dead: number
  readonly recovered: number
}

export interface QueueEvents {
  /**
   * Something went wrong in the background, or a listener threw. Without a listener nothing happens: it never crashes the
   * process, and neither does a listener that throws, or returns a promise that rejects.
   */
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
  readonly pausing: Pausing
  readonly count: PartitionCount
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
  /** Why nothing may go on, although it is connected. */
  #refusal: Error | undefined
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
   * @throws AuthenticationError, ServerTooOldError, WrongModeError, InvalidOptionError
   * @throws PartitionMismatchError, PartitionConflictError
   * @throws QueueUnavailableError if no node answers within `connection.connectTimeoutMs` (5 s), or what is stored of the queue
   *         cannot be read within `enqueueTimeoutMs`
   * @throws OperationNotConfirmedError if the queue is new, and its replicas do not confirm it within `enqueueTimeoutMs`
   */
  async connect(): Promise<void> {
    await this.#connect(true)
  }

  /** As `connect`, and makes no queue. @throws QueueNotFoundError @internal */
  async connectIfThere(): Promise<void> {
    await this.#connect(false)
  }

  async #connect(make: boolean): Promise<void> {
    if (this.#parts) return
    this.#connecting ??= this.#open(make).finally(() => {
      this.#connecting = undefined
    })
    await this.#connecting
  }

  /**
   * Sends what is waiting, waits for acknowledgements, hands back what was fetched and not delivered, and closes every socket and
   * timer; all of it in `enqueueTimeoutMs` at most. A `dequeue` that waits resolves with []. Safe to call twice.
   */
  async disconnect(): Promise<void> {
    await this.#connecting?.catch(() => undefined)
    const parts = this.#parts
    this.#parts = undefined
    this.#refusal = undefined
    if (!parts) return
    parts.count.stop()
    await Promise.all([
      parts.producer.close(),
      parts.consumer.stop(this.options.enqueueTimeoutMs),
      // Of a program that is soon done as well; but not for as long as a dead shard may take.
      within(parts.connection.commandTimeoutMs, parts.registered),
      within(parts.connection.commandTimeoutMs, parts.count.settled()),
    ])
    parts.connection.stop()
    await parts.registered
  }

  /**
   * Stores a task; resolves with its id only when the queue's durability holds.
   * @throws InvalidOptionError, InvalidDataError, PayloadTooLargeError at once
   * @throws QueueUnavailableError, QueueFullError (nothing was ever stored), NotReplicatedError (it is or may be stored and is
   *         unconfirmed, or a worker may have run it before it was taken back) after `enqueueTimeoutMs`
   * @throws NotReplicatedError at once if the server answered with an error that says nothing of what was carried out
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
   * An array is checked as a whole before the first is sent; what is beyond 8 MiB of it is read once more when its turn comes, and
   * fails by itself if it is bad by then. Of anything else that can be iterated, a generator for
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
   * Takes up to `count` tasks, the highest priority first over all partitions; [] after `blockMs` without any, or when the queue is
   * disconnected meanwhile.
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
    const parts = this.#ready()
    const deadlineMs = performance.now() + options.blockMs
    for (;;) {
      const blockMs = Math.max(0, deadlineMs - performance.now())
      const handed = await parts.consumer.take({ ...options, blockMs })
      const deliveries: AnyDelivery<Tasks>[] = []
      for (const { lease, tasks } of handed) {
        for (const task of tasks) {
          const delivery = this.#deliver(parts, lease, task)
          if (delivery) deliveries.push(delivery)
        }
      }
      if (deliveries.length > 0 || handed.length === 0) return deliveries
    }
  }

  /**
   * Saves a checkpoint from outside a delivery. A task has those of 1,000 different steps at most.
   * @throws TaskNotFoundError, PayloadTooLargeError, InvalidDataError, InvalidOptionError
   */
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

  /**
   * Stops deliveries of the whole queue, for every consumer, until `resume`. Enqueueing goes on. Resolves when the queue's
   * durability holds for it in every partition. Safe to repeat.
   * @throws QueueUnavailableError, OperationNotConfirmedError after `enqueueTimeoutMs`: they name the partitions where it is not
   *         carried out, or could be undone by a failover
   */
  async pause(): Promise<void> {
    await this.#ready().pausing.set(true)
  }

  /** Lets deliveries go on; on the same terms as `pause`. */
  async resume(): Promise<void> {
    await this.#ready().pausing.set(false)
  }

  /** Whether the queue is paused, be it only in some of its partitions. @throws QueueUnavailableError after `enqueueTimeoutMs` */
  async isPaused(): Promise<boolean> {
    return this.#ready().pausing.isPaused()
  }

  /**
   * Deletes the queue for good: every key that it has on any node, and its name in the list of all queues. This client is
   * disconnected then; `connect()` makes the queue anew.
   *
   * Stop its other producers and workers before: what they write later comes back, and belongs to no queue that is listed
   * until somebody connects to it again. A call that was broken off is repeated.
   * @param options `force`: with all tasks, those that are being run among them. Their workers get LeaseLostError
   * @throws QueueNotEmptyError if it has tasks and `force` is not given, or if others write to it meanwhile
   * @throws QueueUnavailableError while a shard is out of reach; NotPermittedError, since it takes the rights of an operator
   */
  async delete(options: { readonly force?: boolean } = {}): Promise<void> {
    checkKeys('options', options, ['force'])
    const parts = this.#ready()
    const removal = new Removal(this.name, parts, this.options)
    await removal.probe()
    if (options.force) await parts.pausing.set(true)
    else await this.#pauseIfEmpty(parts.pausing)
    this.#parts = undefined
    try {
      // They write what they have counted, and the name and the partitions of the queue; so they come to their end first.
      const { enqueueTimeoutMs } = this.options
      parts.count.stop()
      await Promise.all([
        parts.producer.close(),
        parts.consumer.stop(enqueueTimeoutMs),
        parts.registered,
        parts.count.settled(),
      ])
      await parts.producer.gate.settled()
      await removal.run()
    } finally {
      parts.connection.stop()
    }
  }

  /** Pauses, so that no task is taken that is then deleted; looked at before, so that a queue in use is left alone. */
  async #pauseIfEmpty(pausing: Pausing): Promise<void> {
    mustBeEmpty(this.name, await this.depth())
    const paused = await pausing.isPaused()
    await pausing.set(true)
    try {
      mustBeEmpty(this.name, await this.depth())
    } catch (error) {
      if (!paused) await pausing.set(false)
      throw error
    }
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

  async #open(make: boolean): Promise<void> {
    const { options } = this
    const connection = new Connection(options.connection, (notice) => this.#report(notice))
    await connection.start(this.name)
    const confirmation = confirmationOf(connection, options)
    const count = new PartitionCount(this.name, connection, confirmation, options.enqueueTimeoutMs)
    try {
      if (options.durability === 'fsynced') await this.#requireWaitaof(connection)
      const partitions = makePartitions(this.name, await count.open(options.partitions, make))
      this.#parts = this.#assemble(connection, partitions, confirmation, count)
    } catch (error) {
      count.stop()
      connection.stop()
      throw error
    }
    count.keep(
      (error) => this.#report(error),
      (error) => {
        this.#refusal = error
        this.#report(error)
      },
    )
    connection.topology.on('change', () => this.#reportShards())
    this.#reportShards()
  }

  #assemble(
    connection: Connection,
    partitions: readonly Partition[],
    confirmation: Confirmation | undefined,
    count: PartitionCount,
  ): Parts {
    const { options } = this
    const inspection = new Inspection(this.name, connection, partitions, options)
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
      deadLetters: new DeadLetters(this.name, connection, durability, partitions, options),
      pausing: new Pausing(this.name, connection, durability, partitions, options.enqueueTimeoutMs),
      count,
      registered: this.#register(connection),
    }
  }

  #ready(): Parts {
    if (!this.#parts) throw new NotConnectedError(this.name)
    if (this.#refusal) throw this.#refusal
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

  /** `parts`: those that it came from; the queue may be disconnected by now. */
  #deliver(parts: Parts, lease: Lease, task: FetchedTask): AnyDelivery<Tasks> | undefined {
    try {
      const record = decodeRecord(task.id, task.record)
      return new Delivery(parts.deliveryHost, lease, task, record) as unknown as AnyDelivery<Tasks>
    } catch (error) {
      if (!(error instanceof InvalidDataError)) throw error
      void this.#bury(parts, lease, task, error)
      return undefined
    }
  }

  /** Should this fail, the lease runs out and the next consumer comes to the same end. */
  async #bury(
    { connection }: Parts,
    { partition, id: leaseId }: Lease,
    { id }: FetchedTask,
    error: Error,
  ): Promise<void> {
    const call = failCall(partition.keys, {
      leaseId,
      id,
      next: 'die',
      error: encodeError(error),
    })
    const outcome = await connection.attempt(partition.slot, call, { lane: 'inspect' })
    this.#report(outcome.ok ? error : new Error(`task ${id} cannot be decoded nor buried`, { cause: error }))
  }

  #report(error: Error): void {
    emitSafely(this, 'error', error)
  }

  #reportShards(): void {
    const parts = this.#parts
    if (!parts) return
    for (const master of parts.connection.topology.masters()) {
      const state = parts.producer.gate.stateOf(master)
      const before = this.#shardStates.get(master.name)
      this.#shardStates.set(master.name, state)
      if (state !== (before ?? 'open')) emitSafely(this, 'shard', { node: master.name, state })
    }
  }
}

function levelsOf(priority: Priority | undefined): readonly Level[] {
  return priority === undefined ? [0, 1, 2] : [levelOf(checkOneOf('options.priority', priority, PRIORITIES))]
}

function confirmationOf(connection: Connection, options: ResolvedQueueOptions): Confirmation | undefined {
  return confirmationFor(connection.replicas, {
    ...options.replication,
    mode: options.connection.mode,
    durability: options.durability,
    timeoutMs: options.confirmTimeoutMs,
    longestMs: options.enqueueTimeoutMs / 2,
  })
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
