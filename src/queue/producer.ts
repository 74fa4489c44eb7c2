import { randomBytes } from 'node:crypto'
import { confirmationFor } from '../connection/confirmation.js'
import type { Confirmation, Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, isCertain } from '../connection/replies.js'
import {
  AuthenticationError,
  NotConnectedError,
  NotReplicatedError,
  QueueFullError,
  QueueUnavailableError,
} from '../errors.js'
import { type Partition, partitionOfKey, visitingOrder } from '../keys/partitions.js'
import { type EnqueueResult, enqueueCall } from '../scripts/enqueue.js'
import { voidCall } from '../scripts/void.js'
import { Backlog, type Item } from './backlog.js'
import { Balance } from './balance.js'
import { Gate } from './gate.js'
import { REMEMBER_BATCH_MS, type ResolvedQueueOptions } from './queue-options.js'

/** Most tasks and bytes in one batch: what a master carries out in about a millisecond. */
const BATCH_TASKS = 500
const BATCH_BYTES = 512 * 1024
/** Tasks of an enqueueMany between two breaths. */
const TASKS_PER_BREATH = 1_000
/** Ms before a batch that must stay with its partition is sent again. */
const RESEND_MS = 50
/** Ms after which a batch without a reply no longer holds up other shards. */
const STUCK_MS = 100
/** Most copies per partition that are remembered to be voided. */
const MOST_VOIDS = 10_000

interface Batch {
  readonly number: number
  items: Item[]
}

/** What waits for one partition. At most one batch of a partition is under way, so its number only grows. */
interface PartitionLane {
  readonly partition: Partition
  readonly keyed: Backlog
  sending: boolean
  sentAtMs: number
  nextNumber: number
  /** A batch whose fate is open and that may only go to this partition. */
  resend: Batch | undefined
  resendAtMs: number
  /** Copies that were confirmed elsewhere and are to be removed here. */
  voids: string[]
}

export interface ProducerCounters {
  reroutes: number
  unconfirmed: number
  voided: number
}

/** The way of a task into the cluster; the protocol is told in docs/protocol.md. */
export class Producer {
  readonly gate: Gate
  readonly counters: ProducerCounters = { reroutes: 0, unconfirmed: 0, voided: 0 }
  readonly #id = randomBytes(7).readUIntBE(1, 6).toString(36)
  readonly #lanes: PartitionLane[]
  readonly #order: readonly number[]
  readonly #loose = new Backlog()
  readonly #balance = new Balance()
  readonly #confirmation: Confirmation | undefined
  #turn = 0
  #sequence = 0
  #sinceBreath = 0
  #bufferedBytes = 0
  #flushing = false
  #timer: NodeJS.Timeout | undefined
  #roomWaiters: (() => void)[] = []
  #idleWaiters: (() => void)[] = []
  #lastFault: Fault | undefined
  #closed = false
  readonly #onTopology = () => {
    this.#rebalance()
    this.#flushSoon()
  }

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    partitions: readonly Partition[],
    private readonly options: ResolvedQueueOptions,
    onGateChange: () => void,
  ) {
    this.#confirmation = confirmationFor(
      options.durability,
      options.connection.mode,
      options.confirmTimeoutMs,
    )
    this.gate = new Gate(connection, this.#confirmation, () => {
      onGateChange()
      this.#onTopology()
    })
    this.#order = visitingOrder(partitions.length)
    this.#lanes = partitions.map((partition) => ({
      partition,
      keyed: new Backlog(),
      sending: false,
      sentAtMs: 0,
      nextNumber: 1,
      resend: undefined,
      resendAtMs: 0,
      voids: [],
    }))
    connection.topology.on('change', this.#onTopology)
    this.#rebalance()
  }

  /** Resolves with the task's id once the durability holds. @throws see TaskQueue.enqueue */
  enqueue(
    task: Pick<Item, 'record' | 'level' | 'delayMs' | 'idempotencyKey'>,
    key: string | undefined,
  ): Promise<string> {
    if (this.#closed) return Promise.reject(new NotConnectedError(this.queue))
    const bytes = task.record.length + 64
    if (this.#bufferedBytes + bytes > this.options.maxBufferedBytes && this.#bufferedBytes > 0) {
      const problem = `${this.#bufferedBytes} bytes wait in this process; await earlier enqueues, or raise maxBufferedBytes`
      return Promise.reject(new QueueFullError(this.queue, problem))
    }
    this.#bufferedBytes += bytes
    return new Promise((resolve, reject) => {
      const item: Item = {
        ...task,
        id: '',
        keyed: key !== undefined,
        bytes,
        deadlineMs: performance.now() + this.options.enqueueTimeoutMs,
        copies: undefined,
        resolve,
        reject,
      }
      if (key === undefined) this.#loose.push(item)
      else this.#lanes[partitionOfKey(key, this.#lanes.length)]?.keyed.push(item)
      this.#flushSoon()
    })
  }

  /**
   * Resolves when half of the buffer is free: what a caller with many tasks waits for. Now and then it lets sockets and
   * timers have their turn, so that the first tasks are under way while the last ones are made.
   */
  async room(): Promise<void> {
    if (++this.#sinceBreath % TASKS_PER_BREATH === 0) await new Promise((resolve) => setImmediate(resolve))
    while (this.#bufferedBytes > this.options.maxBufferedBytes / 2) {
      await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
    }
  }

  /** Sends what waits, then refuses more. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#bufferedBytes > 0) await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
    await Promise.all(
      this.#lanes.filter((lane) => lane.voids.length > 0).map((lane) => this.#sendVoids(lane)),
    )
    this.connection.topology.off('change', this.#onTopology)
    this.gate.stop()
    clearTimeout(this.#timer)
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
    const nowMs = performance.now()
    for (const item of this.#loose.takeExpired(nowMs)) this.#giveUp(item)
    for (const lane of this.#lanes) {
      if (lane.keyed.size > 0) for (const item of lane.keyed.takeExpired(nowMs)) this.#giveUp(item)
      if (lane.sending || !this.connection.serves(lane.partition.slot)) continue
      if (lane.voids.length > 0) void this.#sendVoids(lane)
      else if (lane.resend) {
        if (lane.resendAtMs <= nowMs) void this.#send(lane, lane.resend)
      } else if (lane.keyed.size > 0) {
        void this.#send(lane, this.#newBatch(lane, lane.keyed.take(BATCH_TASKS, BATCH_BYTES)))
      }
    }
    this.#flushLoose()
    this.#watchClock()
  }

  #flushLoose(): void {
    const share = Math.ceil(this.#loose.size / Math.max(1, this.connection.topology.masters().length))
    const size = Math.min(share, BATCH_TASKS)
    for (let step = 0; step < this.#order.length && this.#loose.size > 0; step++) {
      const lane = this.#lanes[this.#order[this.#turn++ % this.#order.length] ?? 0]
      if (!lane || lane.sending || lane.resend || !this.gate.isOpen(lane.partition)) continue
      const node = this.connection.topology.ownerOf(lane.partition.slot)
      if (!node || !this.#balance.allows(node, (other) => this.#isStuck(other))) continue
      const { index } = lane.partition
      const items = this.#loose.take(size, BATCH_BYTES, (item) => !item.copies?.includes(index))
      if (items.length === 0) continue
      this.#balance.add(node, items.length)
      void this.#send(lane, this.#newBatch(lane, items))
    }
  }

  #rebalance(): void {
    const open = this.#lanes.filter((lane) => this.gate.isOpen(lane.partition))
    this.#balance.reset(open.map((lane) => this.connection.topology.ownerOf(lane.partition.slot)))
  }

  #isStuck(node: Node): boolean {
    const latestMs = performance.now() - STUCK_MS
    return this.#lanes.some(
      (lane) =>
        lane.sending &&
        lane.sentAtMs < latestMs &&
        this.connection.topology.ownerOf(lane.partition.slot) === node,
    )
  }

  #newBatch(lane: PartitionLane, items: Item[]): Batch {
    for (const item of items) {
      if (item.id === '')
        item.id = `${lane.partition.index.toString(36)}.${this.#id}${(this.#sequence++).toString(36)}`
    }
    return { number: lane.nextNumber++, items }
  }

  async #send(lane: PartitionLane, batch: Batch): Promise<void> {
    lane.sending = true
    lane.sentAtMs = performance.now()
    lane.resend = undefined
    const { partition } = lane
    const call = enqueueCall(partition.keys, {
      producerId: this.#id,
      batchNumber: batch.number,
      rememberBatchMs: REMEMBER_BATCH_MS,
      rememberKeyMs: this.options.idempotencyTtlMs,
      tasks: batch.items,
    })
    const sockets = this.options.connection.connectionsPerNode ?? 1
    const outcome = await this.connection.attempt(partition.slot, call, {
      lane: 'produce',
      socket: partition.index % sockets,
      confirm: this.#confirmation,
    })
    lane.sending = false
    if (!outcome.ok) this.#refused(lane, batch, outcome.fault, outcome.node)
    else if (outcome.confirmed) this.#confirmed(lane, batch, outcome.value)
    else this.#unconfirmed(lane, batch, outcome.node)
    this.#flushSoon()
  }

  #confirmed(lane: PartitionLane, batch: Batch, result: EnqueueResult): void {
    for (const item of batch.items) {
      for (const index of item.copies ?? []) {
        const voids = this.#lanes[index]?.voids
        if (index !== lane.partition.index && voids && voids.length < MOST_VOIDS) voids.push(item.id)
      }
      this.#leave(item)
      item.resolve(result.replaced.get(item.id) ?? item.id)
    }
  }

  /** The master has the batch, and no replica confirmed it in time. */
  #unconfirmed(lane: PartitionLane, batch: Batch, node: Node): void {
    this.counters.unconfirmed += batch.items.length
    const error = new Error(`no replica of ${node.name} confirmed within ${this.options.confirmTimeoutMs} ms`)
    this.#lastFault = { kind: 'noreplicas', error }
    this.gate.reportShort(node, lane.partition)
    this.#redirect(lane, batch, true)
  }

  #refused(lane: PartitionLane, batch: Batch, fault: Fault, node: Node | undefined): void {
    this.#lastFault = fault
    if (fault.kind === 'rejected' || fault.kind === 'denied') {
      for (const item of batch.items) {
        this.#leave(item)
        item.reject(
          fault.kind === 'denied'
            ? new AuthenticationError(node?.name ?? this.queue, { cause: fault.error })
            : new QueueUnavailableError(this.queue, fault.error.message, { cause: fault.error }),
        )
      }
      return
    }
    if (node && (fault.kind === 'oom' || fault.kind === 'noreplicas' || fault.kind === 'misconf'))
      this.gate.reportFull(node)
    this.#redirect(lane, batch, !isCertain(fault))
  }

  /** Sends the tasks of a failed batch elsewhere, except those that may only be here: they are sent here again. */
  #redirect(lane: PartitionLane, batch: Batch, mayBeHere: boolean): void {
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
        this.#giveUp(item)
      } else {
        staying.push(item)
      }
    }
    if (staying.length === 0) return
    lane.resend = { number: batch.number, items: staying }
    lane.resendAtMs = performance.now() + RESEND_MS
  }

  #mayMove(item: Item, mayBeHere: boolean): boolean {
    if (item.keyed) return false
    if (!mayBeHere) return true
    return this.options.onUncertain === 'move' && this.connection.topology.masters().length > 1
  }

  async #sendVoids(lane: PartitionLane): Promise<void> {
    lane.sending = true
    lane.sentAtMs = performance.now()
    const ids = lane.voids.splice(0, BATCH_TASKS)
    const outcome = await this.connection.attempt(lane.partition.slot, voidCall(lane.partition.keys, ids), {
      lane: 'produce',
    })
    lane.sending = false
    if (outcome.ok) this.counters.voided += outcome.value
    else lane.voids.unshift(...ids)
    this.#flushSoon()
  }

  #giveUp(item: Item): void {
    this.#leave(item)
    const problem = this.#lastFault?.error.message ?? 'no shard took the task in time'
    const cause = { cause: this.#lastFault?.error }
    if (item.copies) item.reject(new NotReplicatedError(this.queue, item.id, problem, cause))
    else if (this.#lastFault?.kind === 'oom') item.reject(new QueueFullError(this.queue, problem, cause))
    else
      item.reject(
        new QueueUnavailableError(
          this.queue,
          `not enqueued within ${this.options.enqueueTimeoutMs} ms: ${problem}`,
          cause,
        ),
      )
  }

  #leave(item: Item): void {
    this.#bufferedBytes -= item.bytes
    if (this.#bufferedBytes <= this.options.maxBufferedBytes / 2)
      for (const resolve of this.#roomWaiters.splice(0)) resolve()
    if (this.#bufferedBytes === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve()
  }

  /** While something waits for a shard or a resend, looks again by itself; replies alone may never come. */
  #watchClock(): void {
    if (this.#timer !== undefined) return
    const waiting = this.#loose.size > 0 || this.#lanes.some((lane) => lane.resend || lane.keyed.size > 0)
    if (!waiting) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#flush()
    }, RESEND_MS)
  }
}
