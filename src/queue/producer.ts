import type { Confirmation, Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, isCertain } from '../connection/replies.js'
import { NotConnectedError, NotReplicatedError, QueueFullError, QueueUnavailableError } from '../errors.js'
import { type Partition, partitionOfKey } from '../keys/partitions.js'
import { refusalOf } from '../rights/refusal.js'
import type { EnqueueResult } from '../scripts/enqueue.js'
import { tasksOf } from '../scripts/task-batch.js'
import { Backlog } from './backlog.js'
import { BufferedBytes, type Shortage } from './buffered-bytes.js'
import { BATCH_BYTES, BATCH_TASKS, Dealer } from './dealer.js'
import { Faults } from './faults.js'
import { Gate } from './gate.js'
import { newIdentity } from './identity.js'
import { bytesOf, type EncodedTask, Item, OneReceiver, type Receiver } from './item.js'
import { type Batch, ProducerLane } from './producer-lane.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { RESTORE_MS, type RecentBatch } from './recent.js'
import { Stamps } from './stamps.js'
import { Untold } from './untold.js'

/** Bytes that enqueueMany keeps waiting at most: some ten ms of work, so that others are not held up and little grows old. */
const AHEAD_BYTES = 6 * 1024 * 1024
/** Tasks of an enqueueMany between two breaths. */
const TASKS_PER_BREATH = 1_000
/** Ms between looks at what waits for a shard: replies alone may never come. */
const LOOK_MS = 50
/** Most copies of a task whose fate is open, before it stays where it is. */
const MOST_COPIES = 3
/**
 * Of a large task. Each costs its master and its replica what a thousand small ones do, so one that is late is hardly served better by
 * another: once a master is known to have it, it stays there until a replica has it too.
 */
const MOST_LARGE_COPIES = 2
/** How often a batch may meet numbers or names of somebody else: with a new identity it should not happen twice. */
const MOST_CLASHES = 5
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

/** Whether a partition has a task of a batch. */
type Here = 'is' | 'may be' | 'is not'

/** The way of a task into the cluster; the protocol is told in docs/protocol.md. */
export class Producer {
  readonly gate: Gate
  readonly counters: ProducerCounters = { reroutes: 0, unconfirmed: 0, accepted: 0, voided: 0, restored: 0 }
  readonly #untold = new Untold(this.counters)
  readonly #buffered: BufferedBytes
  readonly #lanes: ProducerLane[]
  readonly #dealer: Dealer
  /** Lanes that may have something that goes to their partition alone. */
  readonly #needy = new Set<ProducerLane>()
  readonly #loose = new Backlog()
  #breathAt = TASKS_PER_BREATH
  #flushing = false
  #timer: NodeJS.Timeout | undefined
  #roomWaiters: (() => void)[] = []
  #callingWaiters = false
  #idleWaiters: (() => void)[] = []
  readonly #faults: Faults
  /** No more is taken from callers. */
  #closed = false
  /** performance.now() from when on nothing is tried any longer. */
  #overAtMs = Number.POSITIVE_INFINITY
  /** No more is sent. */
  #stopped = false
  readonly #onTopology = () => {
    this.gate.review()
    this.#buffered.regroup(this.#owners())
    this.#dealer.rebalance()
    // What was confirmed before the change may be in doubt.
    for (const lane of this.#lanes) {
      lane.repeatRemovals()
      this.#needy.add(lane)
    }
    this.#flushSoon()
  }

  constructor(
    readonly queue: string,
    private readonly connection: Connection,
    private readonly partitions: readonly Partition[],
    private readonly options: ResolvedQueueOptions,
    private readonly confirmation: Confirmation | undefined,
    onGateChange: () => void,
    private readonly onError: (error: Error) => void,
  ) {
    this.#buffered = new BufferedBytes(options.maxBufferedBytes, this.#owners())
    this.gate = new Gate(connection, confirmation, partitions, () => {
      onGateChange()
      this.#onTopology()
    })
    this.#faults = new Faults(connection, this.gate, partitions)
    const identity = newIdentity()
    const stamps = new Stamps()
    this.#lanes = partitions.map(
      (partition) =>
        new ProducerLane(
          partition,
          identity,
          stamps,
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
  add(task: EncodedTask, receiver: Receiver, index: number, home = this.homeOf(task)): void {
    if (this.#closed) {
      receiver.failed(index, new NotConnectedError(this.queue))
      return
    }
    const shortage = this.#buffered.shortage(home, bytesOf(task))
    if (shortage) {
      receiver.failed(index, new QueueFullError(this.queue, this.#problemOf(shortage, home)))
      return
    }
    const item = new Item(task, receiver, index, performance.now() + this.options.enqueueTimeoutMs, home)
    this.#buffered.add(home, item.bytes)
    this.#breathAt--
    if (home === undefined) {
      this.#loose.push(item)
    } else {
      const lane = this.#lanes[home]
      lane?.keyed.push(item)
      if (lane) this.#needy.add(lane)
    }
    this.#flushSoon()
  }

  /** The only partition that a task may go to; undefined: any will do. */
  homeOf({ key }: EncodedTask): number | undefined {
    return key === undefined ? undefined : partitionOfKey(key, this.#lanes.length)
  }

  /** Nothing is taken any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** Whether a caller with many tasks should wait for `room` before it adds this one. */
  crowded(task: EncodedTask, home: number | undefined): boolean {
    return this.#breathAt <= 0 || this.#isCrowded(task, home)
  }

  /**
   * Resolves when there is room for this task, one of many: what waits for a shard that is down does not hold up what others take.
   * Now and then it lets sockets and timers have their turn, so that the first tasks are under way while the last ones are made.
   */
  async room(task: EncodedTask, home: number | undefined): Promise<void> {
    this.#breathAt = TASKS_PER_BREATH
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#isCrowded(task, home)) await new Promise<void>((go) => this.#roomWaiters.push(go))
  }

  #isCrowded(task: EncodedTask, home: number | undefined): boolean {
    return !this.#closed && this.#buffered.isCrowded(home, bytesOf(task), AHEAD_BYTES)
  }

  /** In the next breath, once for all that makes room now. Each looks again by itself, since those before it may have filled it. */
  #callWaitersSoon(): void {
    if (this.#callingWaiters || this.#roomWaiters.length === 0) return
    this.#callingWaiters = true
    setImmediate(() => {
      this.#callingWaiters = false
      for (const go of this.#roomWaiters.splice(0)) go()
    })
  }

  #problemOf(shortage: Shortage, home: number | undefined): string {
    const wayOut = 'await earlier enqueues, or raise maxBufferedBytes'
    if (shortage.of === 'all') return `${shortage.bytes} bytes wait in this process; ${wayOut}`
    if (shortage.of === 'keyed')
      return `${shortage.bytes} bytes of tasks with a key wait in this process, and the rest is kept for tasks without; ${wayOut}`
    const why = this.#faults.of(home === undefined ? undefined : this.partitions[home])?.error.message
    const master = shortage.of === 'shard' ? shortage.master?.name : undefined
    return (
      `${shortage.bytes} bytes of tasks with a key wait in this process for the shard of ${master ?? 'no master'}` +
      `${why === undefined ? '' : ` (${why})`}, and the rest is kept for other shards; ${wayOut}`
    )
  }

  #owners(): (Node | undefined)[] {
    return this.partitions.map(({ slot }) => this.connection.topology.ownerOf(slot))
  }

  /**
   * Refuses more, and sends what waits, for `enqueueTimeoutMs` at most and the call that is under way then. Of tasks that are not
   * stored again by then, after their master has lost them, `onError` is told.
   */
  async close(): Promise<void> {
    this.#closed = true
    this.#overAtMs = performance.now() + this.options.enqueueTimeoutMs
    this.#callWaitersSoon()
    await this.#idle()
    await Promise.all(
      [...this.#dealer.idle].filter((lane) => lane.hasVoids).map((lane) => this.#sendVoids(lane)),
    )
    await this.#tellRest()
    // These calls may have shown that a master has lost something.
    await this.#idle()
    this.#stopped = true
    this.connection.topology.off('change', this.#onTopology)
    this.gate.stop()
    clearTimeout(this.#timer)
  }

  /** Resolves when nothing waits to be stored. */
  async #idle(): Promise<void> {
    if (this.#buffered.total > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
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
    const nowMs = this.#clockMs
    for (const item of this.#loose.takeExpired(nowMs)) this.#giveUp(item)
    for (const lane of this.#needy) this.#flushLane(lane, nowMs)
    this.#flushLoose()
    this.#watchClock()
  }

  /** performance.now(); at the end of all time once no more is tried, so that the time of every task is over. */
  get #clockMs(): number {
    const nowMs = performance.now()
    return nowMs < this.#overAtMs ? nowMs : Number.POSITIVE_INFINITY
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
    } else if (lane.hasResend) this.#partFrom(lane)
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
    this.#dealer.deal(
      this.#loose,
      mayTake,
      (lane, items, node) => void this.#send(lane, lane.newBatch(items), node),
    )
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

  /** `dealtTo`: the master for whose share of the load its tasks count. */
  #send(lane: ProducerLane, batch: Batch, dealtTo?: Node): Promise<void> {
    return this.#occupy(lane, () => this.#sendBatch(lane, batch, dealtTo))
  }

  async #sendBatch(lane: ProducerLane, batch: Batch, dealtTo: Node | undefined): Promise<void> {
    const confirmation = this.#confirmationAt(lane)
    const send = () => lane.send(batch, confirmation)
    const outcome = await (confirmation ? this.#dealer.confirming(lane, send) : send())
    if (outcome.ok) this.#faults.note(lane.partition, undefined)
    if (dealtTo && (!outcome.ok || outcome.value.kind === 'clash'))
      this.#dealer.giveBack(dealtTo, batch.items.length)
    if (!outcome.ok) this.#refused(lane, batch, outcome.fault, outcome.node)
    else if (outcome.value.kind === 'clash') this.#clashed(lane, batch, outcome.value, outcome.confirmed)
    else if (outcome.confirmed) this.#confirmed(lane, batch.items, outcome.value)
    else await this.#unconfirmed(lane, batch, outcome.value, outcome.node)
  }

  /** Of a shard that is known not to confirm, nobody waits for a confirmation. */
  #confirmationAt(lane: ProducerLane): Confirmation | undefined {
    const waived =
      this.options.onShortfall === 'accept' && this.gate.stateOfPartition(lane.partition) === 'short'
    return waived ? undefined : this.confirmation
  }

  #confirmed(lane: ProducerLane, items: readonly Item[], result: EnqueueResult): void {
    if (this.confirmation && this.gate.stateOfPartition(lane.partition) === 'short')
      this.counters.accepted += items.length
    for (const item of items) {
      if (item.copies) this.#voidCopies(item, lane.partition.index)
      this.#leave(item)
      item.resolve((result.replaced.size > 0 && result.replaced.get(item.id)) || item.id)
    }
  }

  /**
   * Nothing was stored. The number is that of another producer, or names stand there already: then tasks that may have been stored
   * here before are those, and any other gets another name.
   */
  #clashed(lane: ProducerLane, batch: Batch, result: EnqueueResult, confirmed: boolean): void {
    if (batch.clashes >= MOST_CLASHES) {
      const why = `its tasks met numbers or names of another producer ${batch.clashes + 1} times in a row`
      for (const item of batch.items) this.#fail(item, new QueueUnavailableError(this.queue, why), why)
      return
    }
    const there = new Set(result.there)
    const stored: Item[] = []
    const again: Item[] = []
    let strange = there.size === 0
    for (const item of batch.items) {
      const isThere = there.has(item.id) || (item.bundle !== undefined && there.has(item.bundle.name))
      if (isThere && (item.restores > 0 || item.hasCopyIn(lane.partition.index))) {
        // Only what WAIT has covered counts.
        ;(confirmed ? stored : again).push(item)
        continue
      }
      if (isThere) item.forgetId()
      strange ||= isThere
      again.push(item)
    }
    this.#confirmed(lane, stored, result)
    if (strange) lane.takeNewIdentity()
    if (again.length === 0) return
    // What is there already is asked for until a replica confirms it, or its time is over.
    lane.sendAgain(strange ? lane.newBatch(again, batch.clashes + 1) : { ...batch, items: again })
    if (!confirmed) lane.pause()
  }

  #voidCopies(item: Item, exceptIndex: number): void {
    for (const index of item.copies ?? []) {
      const lane = this.#lanes[index]
      if (!lane || index === exceptIndex) continue
      lane.voidLater(item)
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
    const { generation } = node
    const [moving, staying] = this.#partingFrom(lane, batch.items)
    if (moving.length > 0) await this.#move(lane, { ...batch, items: moving, storedAt: { node, generation } })
    if (this.options.onShortfall === 'accept') this.#confirmed(lane, staying, result)
    else this.#redirect(lane, { ...batch, items: staying, storedAt: { node, generation } }, 'is')
  }

  /** Of tasks that are stored here, those that can be confirmed elsewhere now, and those that cannot. */
  #partingFrom(lane: ProducerLane, items: readonly Item[]): [moving: Item[], staying: Item[]] {
    const open = this.#lanes.filter((other) => this.gate.isOpen(other.partition))
    const { index } = lane.partition
    const moving: Item[] = []
    const staying: Item[] = []
    for (const item of items) {
      // With a copy elsewhere it keeps its id, and so must not come to a partition again.
      const elsewhere = item.hasCopyBeside(index)
        ? open.some((other) => other !== lane && item.mayVisit(other.partition.index))
        : open.length > 0
      ;(elsewhere && this.#mayMove(item, lane, 'is') ? moving : staying).push(item)
    }
    return [moving, staying]
  }

  /** What waits to be confirmed by a shard that is short need not wait for it any longer once another one is open. */
  #partFrom(lane: ProducerLane): void {
    if (this.options.onUncertain !== 'move' || this.gate.stateOfPartition(lane.partition) !== 'short') return
    if (!lane.resendIsLoose || !this.#lanes.some((other) => this.gate.isOpen(other.partition))) return
    const batch = lane.takeResend()
    if (!batch) return
    const [moving, staying] = this.#partingFrom(lane, batch.items)
    if (staying.length > 0) lane.sendAgain({ ...batch, items: staying })
    if (moving.length > 0) void this.#occupy(lane, () => this.#move(lane, { ...batch, items: moving }))
  }

  /**
   * The master answers, so the tasks are taken back before they go elsewhere. One that is no longer there has been run to
   * its end meanwhile, and nothing can lose it any more.
   */
  async #move(lane: ProducerLane, batch: Batch): Promise<void> {
    const { node, generation } = batch.storedAt ?? {}
    const { index } = lane.partition
    const outcome = await lane.takeBack(batch)
    // Of another master, or one that was restarted meanwhile, "not there" says nothing.
    const known = outcome.ok && outcome.node === node && node.generation === generation
    for (const item of batch.items) {
      if (!known) {
        // The call may still be carried out. So they must not stay here, even if there is nowhere else to go before their time is over.
        item.addCopy(index)
      } else if (outcome.value.removed.has(item)) {
        this.counters.voided++
        item.takenBackFrom(index)
      } else {
        this.#voidCopies(item, index)
        this.#leave(item)
        item.resolve(item.id)
        continue
      }
      this.counters.reroutes++
      this.#loose.putBack(item)
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
        failed: (at, cause) => {
          const may = cause instanceof NotReplicatedError ? 'may be' : 'is'
          this.onError(
            new Error(`task ${tasks[at]?.id} ${may} lost: its master came back without it`, { cause }),
          )
        },
      }
      tasks.forEach((task, at) => {
        // It may only be where it was.
        const item = new Item({ ...task, key: task.id }, receiver, at, deadlineMs, index, restores + 1)
        if (task.bundle) item.join(task.bundle, task.place)
        else item.id = task.id
        this.#buffered.add(index, item.bytes)
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
      for (const item of batch.items) {
        // A script that ended in an error that nobody knows may have stored it before.
        if (fault.kind === 'rejected') item.addCopy(lane.partition.index)
        this.#fail(item, error, fault.error.message)
      }
      return
    }
    // A shard that refuses is not asked again in the same breath, however fast it is at that.
    lane.pause()
    if (node && (fault.kind === 'oom' || fault.kind === 'noreplicas' || fault.kind === 'misconf'))
      this.gate.reportFull(node)
    for (const item of batch.items) item.fault = fault
    this.#redirect(lane, batch, isCertain(fault) ? 'is not' : 'may be')
  }

  /**
   * Sends the tasks of a failed batch elsewhere, except those that may only be here: they are sent here again. `here`: whether the
   * batch `is` stored. If it is, its tasks stay until they are confirmed or taken back.
   */
  #redirect(lane: ProducerLane, batch: Batch, here: Here): void {
    const { index } = lane.partition
    const staying: Item[] = []
    for (const item of batch.items) {
      if (here !== 'is not') item.addCopy(index)
      // A refusal says nothing of an earlier try without a reply.
      if (here !== 'is' && this.#mayMove(item, lane, item.hasCopyIn(index) ? 'may be' : 'is not')) {
        this.counters.reroutes++
        this.#loose.putBack(item)
      } else if (item.deadlineMs <= this.#clockMs) {
        this.#giveUp(item, lane)
      } else {
        staying.push(item)
      }
    }
    if (staying.length === 0) return
    const askFirst = staying.some((item) => item.large && item.hasCopyIn(index))
    lane.sendAgain({ ...batch, items: staying, askFirst })
    lane.pause()
    this.#needy.add(lane)
  }

  /** Whether the task may go to another partition. */
  #mayMove(item: Item, lane: ProducerLane, here: Here): boolean {
    if (item.keyed) return false
    if (here === 'is not') return true
    if (item.large && here === 'is') return false
    const { index } = lane.partition
    const copies = item.copies?.length ?? 0
    return (
      this.options.onUncertain === 'move' &&
      this.connection.topology.masters().length > 1 &&
      copies <
        (item.large ? MOST_LARGE_COPIES : MOST_COPIES) + (here === 'is' && item.hasCopyIn(index) ? 1 : 0) &&
      (here === 'is' || item.hasPlaceBeside(index, this.#lanes.length))
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

  /** `error` is what the caller is told if nothing was ever stored. */
  #fail(item: Item, error: Error, why: string): void {
    this.#leave(item)
    const [first] = item.copies ?? []
    const { cause } = error
    if (first !== undefined) {
      // Of several unconfirmed copies one is enough.
      this.#voidCopies(item, first)
      item.reject(new NotReplicatedError(this.queue, item.id, why, { cause }))
    } else if (item.formerId !== '') {
      const problem = `it was stored and taken back, and a worker may have run it meanwhile; then ${why}`
      item.reject(new NotReplicatedError(this.queue, item.formerId, problem, { cause }))
    } else {
      item.reject(error)
    }
  }

  #leave(item: Item): void {
    this.#buffered.remove(item.home, item.bytes)
    this.#callWaitersSoon()
    if (this.#buffered.total === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve()
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
