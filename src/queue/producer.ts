import { randomBytes } from 'node:crypto'
import type { Confirmation, Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, isCertain } from '../connection/replies.js'
import { NotConnectedError, NotReplicatedError, QueueFullError, QueueUnavailableError } from '../errors.js'
import { type Partition, partitionOfKey } from '../keys/partitions.js'
import { refusalOf } from '../rights/refusal.js'
import type { EnqueueResult } from '../scripts/enqueue.js'
import { tasksOf } from '../scripts/task-batch.js'
import { Backlog } from './backlog.js'
import { BATCH_BYTES, BATCH_TASKS, Dealer } from './dealer.js'
import { Faults } from './faults.js'
import { Gate } from './gate.js'
import { bytesOf, type EncodedTask, Item, OneReceiver, type Receiver } from './item.js'
import { nameTasks } from './naming.js'
import { type Batch, ProducerLane } from './producer-lane.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import type { RecentBatch } from './recent.js'
import { Untold } from './untold.js'

/** Bytes that enqueueMany keeps waiting at most: some ten ms of work, so that others are not held up and little grows old. */
const AHEAD_BYTES = 6 * 1024 * 1024
/** Tasks of an enqueueMany between two breaths. */
const TASKS_PER_BREATH = 1_000
/** Ms between looks at what waits for a shard: replies alone may never come. */
const LOOK_MS = 50
/** Most copies of a task whose fate is open, before it stays where it is. */
const MOST_COPIES = 3
/** Ms for which it is tried to store again what a master has lost: longer than a failover. */
const RESTORE_MS = 60_000
/** Bytes of confirmed batches that all partitions together remember (see recent.ts). */
const RECENT_BYTES = 16 * 1024 * 1024

export interface ProducerCounters {
  /** Tasks sent to another partition after the first one had failed. */
  reroutes: number
  /** Tasks that a master has stored and no replica has confirmed in time. */
  unconfirmed: number
  /** Of those, tasks that were acknowledged all the same (`onShortfall: 'accept'`). */
  accepted: number
  /** Copies removed again. */
  voided: number
  /** Tasks stored again, since a master had come back without them. */
  restored: number
}

/** The way of a task into the cluster; the protocol is told in docs/protocol.md. */
export class Producer {
  readonly gate: Gate
  readonly counters: ProducerCounters = { reroutes: 0, unconfirmed: 0, accepted: 0, voided: 0, restored: 0 }
  readonly #untold = new Untold(this.counters)
  readonly #aheadBytes: number
  readonly #id = randomBytes(7).readUIntBE(1, 6).toString(36)
  readonly #lanes: ProducerLane[]
  readonly #dealer: Dealer
  /** Lanes that may have something that goes to their partition alone. */
  readonly #needy = new Set<ProducerLane>()
  readonly #loose = new Backlog()
  #sequence = 0
  #breathAt = TASKS_PER_BREATH
  #bufferedBytes = 0
  #flushing = false
  #timer: NodeJS.Timeout | undefined
  #roomWaiters: (() => void)[] = []
  #idleWaiters: (() => void)[] = []
  readonly #faults: Faults
  /** No more is taken from callers. */
  #closed = false
  /** No more is sent. */
  #stopped = false
  readonly #onTopology = () => {
    this.gate.review()
    this.#dealer.rebalance()
    // What was confirmed before the change may be in doubt.
    for (const lane of this.#lanes) this.#needy.add(lane)
    this.#flushSoon()
  }

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    partitions: readonly Partition[],
    private readonly options: ResolvedQueueOptions,
    private readonly confirmation: Confirmation | undefined,
    onGateChange: () => void,
    private readonly onError: (error: Error) => void,
  ) {
    this.#aheadBytes = Math.min(AHEAD_BYTES, options.maxBufferedBytes / 2)
    this.gate = new Gate(connection, confirmation, partitions, () => {
      onGateChange()
      this.#onTopology()
    })
    this.#faults = new Faults(connection, this.gate, partitions)
    this.#lanes = partitions.map(
      (partition) =>
        new ProducerLane(
          partition,
          this.#id,
          connection,
          options,
          this.#untold,
          Math.floor(RECENT_BYTES / partitions.length),
          (batches) => this.#restore(partition, batches),
        ),
    )
    this.#dealer = new Dealer(connection, this.gate, this.#lanes)
    connection.topology.on('change', this.#onTopology)
  }

  /** Resolves with the task's id once the durability holds. @throws see TaskQueue.enqueue */
  enqueue(task: EncodedTask): Promise<string> {
    return new Promise((resolve, reject) => this.add(task, new OneReceiver(resolve, reject), 0))
  }

  /** As `enqueue`, for a receiver that waits for many. Never throws. */
  add(task: EncodedTask, receiver: Receiver, index: number): void {
    if (this.#closed) {
      receiver.failed(index, new NotConnectedError(this.queue))
      return
    }
    if (this.#bufferedBytes + bytesOf(task) > this.options.maxBufferedBytes && this.#bufferedBytes > 0) {
      const problem = `${this.#bufferedBytes} bytes wait in this process; await earlier enqueues, or raise maxBufferedBytes`
      receiver.failed(index, new QueueFullError(this.queue, problem))
      return
    }
    const item = new Item(task, receiver, index, performance.now() + this.options.enqueueTimeoutMs)
    this.#bufferedBytes += item.bytes
    this.#breathAt--
    if (task.key === undefined) {
      this.#loose.push(item)
    } else {
      const lane = this.#lanes[partitionOfKey(task.key, this.#lanes.length)]
      lane?.keyed.push(item)
      if (lane) this.#needy.add(lane)
    }
    this.#flushSoon()
  }

  /** Whether a caller with many tasks should wait for `room` before it adds the next. */
  get crowded(): boolean {
    return this.#breathAt <= 0 || this.#bufferedBytes > this.#aheadBytes
  }

  /**
   * Resolves when there is room for more of many. Now and then it lets sockets and timers have their turn, so that the first
   * tasks are under way while the last ones are made.
   */
  async room(): Promise<void> {
    this.#breathAt = TASKS_PER_BREATH
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#bufferedBytes > this.#aheadBytes) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
    }
  }

  /** Refuses more, and sends what waits: at most for as long as any of it may take. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#bufferedBytes > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
    await Promise.all(
      [...this.#dealer.idle].filter((lane) => lane.hasVoids).map((lane) => this.#sendVoids(lane)),
    )
    await this.#tellRest()
    this.#stopped = true
    this.connection.topology.off('change', this.#onTopology)
    this.gate.stop()
    clearTimeout(this.#timer)
  }

  /** What has gone wrong since the last batch; not worth waiting for a shard that is down. */
  async #tellRest(): Promise<void> {
    const lane = [...this.#dealer.idle].find((one) => this.gate.isOpen(one.partition))
    if (lane && this.#untold.some) await lane.check()
  }

  /** Waits for the running code to finish, so that tasks enqueued in one breath share a batch. */
  #flushSoon(): void {
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#stopped) return
    const nowMs = performance.now()
    for (const item of this.#loose.takeExpired(nowMs)) this.#giveUp(item)
    for (const lane of this.#needy) this.#flushLane(lane, nowMs)
    this.#flushLoose()
    this.#watchClock()
  }

  /** What may only go to this partition, the most urgent first. */
  #flushLane(lane: ProducerLane, nowMs: number): void {
    for (const item of lane.takeExpired(nowMs)) this.#giveUp(item, lane)
    // Asked first, since it has to notice a break when it happens.
    const { doubtful } = lane
    if (!lane.waits) this.#needy.delete(lane)
    if (!this.#dealer.idle.has(lane) || lane.paused || !this.connection.serves(lane.partition.slot)) return
    if (doubtful) void this.#check(lane)
    else if (lane.hasVoids) void this.#sendVoids(lane)
    else if (this.#takes(lane)) {
      const batch = lane.takeResend()
      if (batch) void this.#send(lane, batch)
      else if (lane.keyed.size > 0) {
        void this.#send(lane, lane.newBatch(lane.keyed.take(BATCH_TASKS, BATCH_BYTES)))
      }
    }
  }

  /** Whether the lane's shard may be sent a task at the moment. */
  #takes(lane: ProducerLane): boolean {
    const state = this.gate.stateOfPartition(lane.partition)
    return state === 'open' || (state === 'short' && this.options.onShortfall === 'accept')
  }

  #flushLoose(): void {
    if (this.#loose.size === 0) return
    this.#deal((lane) => this.gate.isOpen(lane.partition))
    if (this.#loose.size === 0 || this.options.onShortfall === 'reject') return
    if (!this.#lanes.some((lane) => this.gate.isOpen(lane.partition))) this.#deal((lane) => this.#takes(lane))
  }

  #deal(mayTake: (lane: ProducerLane) => boolean): void {
    this.#dealer.deal(this.#loose, mayTake, (lane, items) => void this.#send(lane, lane.newBatch(items)))
  }

  /** One call at a time in each lane. */
  async #occupy(lane: ProducerLane, call: () => Promise<void>): Promise<void> {
    this.#dealer.idle.delete(lane)
    await call()
    this.#dealer.idle.add(lane)
    // What did not work may wait again.
    this.#needy.add(lane)
    this.#flushSoon()
  }

  #send(lane: ProducerLane, batch: Batch): Promise<void> {
    return this.#occupy(lane, () => this.#sendBatch(lane, batch))
  }

  async #sendBatch(lane: ProducerLane, batch: Batch): Promise<void> {
    const prefix = `${lane.partition.index.toString(36)}.${this.#id}`
    nameTasks(batch.items, () => prefix + (this.#sequence++).toString(36))
    const confirmation = this.#confirmationAt(lane)
    const send = () => lane.send(batch, confirmation)
    const outcome = await (confirmation ? this.#dealer.confirming(lane, send) : send())
    if (outcome.ok) this.#faults.note(lane.partition, undefined)
    if (!outcome.ok) this.#refused(lane, batch, outcome.fault, outcome.node)
    else if (outcome.confirmed) this.#confirmed(lane, batch, outcome.value)
    else await this.#unconfirmed(lane, batch, outcome.value, outcome.node)
  }

  /** Of a shard that is known not to confirm, nobody waits for a confirmation. */
  #confirmationAt(lane: ProducerLane): Confirmation | undefined {
    const waived =
      this.options.onShortfall === 'accept' && this.gate.stateOfPartition(lane.partition) === 'short'
    return waived ? undefined : this.confirmation
  }

  #confirmed(lane: ProducerLane, batch: Batch, result: EnqueueResult): void {
    if (this.confirmation && this.gate.stateOfPartition(lane.partition) === 'short')
      this.counters.accepted += batch.items.length
    for (const item of batch.items) {
      if (item.copies) this.#voidCopies(item, lane.partition.index)
      this.#leave(item)
      item.resolve((result.replaced.size > 0 && result.replaced.get(item.id)) || item.id)
    }
  }

  #voidCopies(item: Item, exceptIndex: number): void {
    for (const index of item.copies ?? []) {
      const lane = this.#lanes[index]
      if (!lane || index === exceptIndex) continue
      lane.voidLater(item.id)
      this.#needy.add(lane)
    }
  }

  /** The master has the batch, and no replica confirmed it in time. */
  async #unconfirmed(lane: ProducerLane, batch: Batch, result: EnqueueResult, node: Node): Promise<void> {
    this.counters.unconfirmed += batch.items.length
    const bytes = batch.items.reduce((sum, item) => sum + item.bytes, 0)
    const error = new Error(this.confirmation?.unconfirmedBy(node, bytes) ?? `${node.name} did not confirm`)
    this.#faults.note(lane.partition, { kind: 'noreplicas', error })
    this.gate.reportShort(node, lane.partition)
    const elsewhere = this.#lanes.some((other) => this.gate.isOpen(other.partition))
    const moving = batch.items.filter((item) => elsewhere && this.#mayMove(item, true))
    const staying = batch.items.filter((item) => !moving.includes(item))
    if (moving.length > 0) await this.#move(lane, { number: batch.number, items: moving }, node)
    if (this.options.onShortfall === 'accept')
      this.#confirmed(lane, { number: batch.number, items: staying }, result)
    else this.#redirect(lane, { number: batch.number, items: staying }, true)
  }

  /**
   * The master answers, so the tasks are taken back before they go elsewhere. One that is no longer there has been run to
   * its end meanwhile, and nothing can lose it any more.
   */
  async #move(lane: ProducerLane, batch: Batch, node: Node): Promise<void> {
    const { generation } = node
    const outcome = await lane.takeBack(batch.items.map((item) => item.id))
    // Of another master, or one that was restarted meanwhile, "not there" says nothing.
    if (!outcome.ok || outcome.node !== node || node.generation !== generation) {
      this.#redirect(lane, batch, true)
      return
    }
    const removed = new Set(outcome.value.removed)
    this.counters.voided += removed.size
    for (const item of batch.items) {
      if (removed.has(item.id)) {
        this.counters.reroutes++
        this.#loose.putBack(item)
      } else {
        this.#voidCopies(item, lane.partition.index)
        this.#leave(item)
        item.resolve(item.id)
      }
    }
  }

  #check(lane: ProducerLane): Promise<void> {
    return this.#occupy(lane, () => lane.check())
  }

  /** Stores again what a master has lost although it was confirmed; the callers have their answer already. */
  #restore({ index }: Partition, batches: readonly RecentBatch[]): void {
    const lane = this.#lanes[index]
    if (!lane) return
    const deadlineMs = performance.now() + Math.max(RESTORE_MS, this.options.enqueueTimeoutMs)
    for (const { tasks: batch, restores } of batches) {
      const tasks = tasksOf(batch)
      const receiver: Receiver = {
        stored: () => {
          this.counters.restored++
        },
        failed: (at, cause) =>
          this.onError(
            new Error(`task ${tasks[at]?.id} is lost: its master came back without it`, { cause }),
          ),
      }
      tasks.forEach((task, at) => {
        // It may only be where it was.
        const item = new Item({ ...task, key: task.id }, receiver, at, deadlineMs, restores + 1)
        if (task.bundle) item.join(task.bundle, task.place)
        else item.id = task.id
        this.#bufferedBytes += item.bytes
        lane.keyed.putBack(item)
      })
    }
    this.#needy.add(lane)
    this.#flushSoon()
  }

  #refused(lane: ProducerLane, batch: Batch, fault: Fault, node: Node | undefined): void {
    this.#faults.note(lane.partition, fault)
    if (fault.kind === 'rejected' || fault.kind === 'denied') {
      const error =
        fault.kind === 'denied'
          ? refusalOf(node?.name ?? this.queue, fault.error)
          : new QueueUnavailableError(this.queue, fault.error.message, { cause: fault.error })
      for (const item of batch.items) this.#fail(item, error, fault.error.message)
      return
    }
    // A shard that refuses is not asked again in the same breath, however fast it is at that.
    lane.pause()
    if (node && (fault.kind === 'oom' || fault.kind === 'noreplicas' || fault.kind === 'misconf'))
      this.gate.reportFull(node)
    for (const item of batch.items) item.fault = fault
    this.#redirect(lane, batch, !isCertain(fault))
  }

  /** Sends the tasks of a failed batch elsewhere, except those that may only be here: they are sent here again. */
  #redirect(lane: ProducerLane, batch: Batch, mayBeHere: boolean): void {
    const staying: Item[] = []
    for (const item of batch.items) {
      if (mayBeHere && !item.copies?.includes(lane.partition.index)) {
        item.copies = [...(item.copies ?? []), lane.partition.index]
      }
      // A refusal says nothing of an earlier try without a reply.
      if (this.#mayMove(item, item.copies?.includes(lane.partition.index) ?? false)) {
        this.counters.reroutes++
        this.#loose.putBack(item)
      } else if (item.deadlineMs <= performance.now()) {
        this.#giveUp(item, lane)
      } else {
        staying.push(item)
      }
    }
    if (staying.length === 0) return
    lane.sendAgain({ number: batch.number, items: staying })
    lane.pause()
    this.#needy.add(lane)
  }

  #mayMove(item: Item, mayBeHere: boolean): boolean {
    if (item.keyed) return false
    if (!mayBeHere) return true
    const copies = item.copies?.length ?? 0
    return (
      this.options.onUncertain === 'move' &&
      this.connection.topology.masters().length > 1 &&
      copies < Math.min(MOST_COPIES, this.#lanes.length)
    )
  }

  #sendVoids(lane: ProducerLane): Promise<void> {
    return this.#occupy(lane, async () => {
      this.counters.voided += await lane.sendVoids()
    })
  }

  /** `lane`: the only one that the task may go to. */
  #giveUp(item: Item, lane?: ProducerLane): void {
    // Its shard may have taken others since.
    const fault = this.#faults.of(lane?.partition) ?? item.fault
    const why = this.#faults.reason(lane?.partition, fault)
    const problem = `not enqueued within ${this.options.enqueueTimeoutMs} ms: ${why}`
    const Refusal = fault?.kind === 'oom' ? QueueFullError : QueueUnavailableError
    this.#fail(item, new Refusal(this.queue, problem, { cause: fault?.error }), why)
  }

  /** `error` is what the caller is told if nothing is stored. */
  #fail(item: Item, error: Error, why: string): void {
    this.#leave(item)
    const [first] = item.copies ?? []
    if (first === undefined) {
      item.reject(error)
      return
    }
    // Of several unconfirmed copies one is enough.
    this.#voidCopies(item, first)
    item.reject(new NotReplicatedError(this.queue, item.id, why, { cause: error.cause }))
  }

  #leave(item: Item): void {
    this.#bufferedBytes -= item.bytes
    if (this.#bufferedBytes <= this.#aheadBytes && this.#roomWaiters.length > 0)
      for (const resolve of this.#roomWaiters.splice(0)) resolve()
    if (this.#bufferedBytes === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  /** While something waits for a shard or a resend, looks again by itself; replies alone may never come. */
  #watchClock(): void {
    if (this.#timer !== undefined || this.#stopped) return
    const waiting = this.#loose.size > 0 || this.#needy.size > 0
    if (!waiting) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#flush()
    }, LOOK_MS)
  }
}
