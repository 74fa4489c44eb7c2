import type { Confirmation, Connection, Outcome } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { isCertain } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { type EnqueueResult, enqueueCall } from '../scripts/enqueue.js'
import { batchOf, type TaskBatch } from '../scripts/task-batch.js'
import { type VoidResult, voidCall } from '../scripts/void.js'
import { Backlog } from './backlog.js'
import type { Item } from './item.js'
import { REMEMBER_BATCH_MS, type ResolvedQueueOptions } from './queue-options.js'
import { Recent, type RecentBatch } from './recent.js'
import type { Untold } from './untold.js'

/** Ms before something that must go to this partition is sent again. */
const RESEND_MS = 50
/** Most copies that are remembered to be voided, and most of them in one call. */
const MOST_VOIDS = 10_000
const VOIDS_PER_CALL = 500
/** A server that loses a task so often does not keep anything, and is not to be fed with it for ever. */
const MOST_RESTORES = 3

interface Master {
  readonly master: Node | undefined
  /** Which of its lives (see node.ts). */
  readonly generation: number | undefined
}

export interface Batch {
  readonly number: number
  readonly items: Item[]
}

/**
 * What one producer has to do with one partition. At most one call is under way, so the number of its batches only
 * grows, and the script can tell a repeat from a new one by that number alone.
 */
export class ProducerLane {
  readonly keyed = new Backlog()
  sending = false
  sentAtMs = 0
  /** A batch whose fate is open and that may only go to this partition. */
  #resend: Batch | undefined
  #pausedUntilMs = 0
  #nextNumber = 1
  /** Copies that were confirmed elsewhere and are to be removed here. */
  #voids: string[] = []
  readonly #recent: Recent
  /** A break was noticed, and it is not known yet what it cost. */
  #doubted = false
  /** Highest number that was confirmed, and who was master then. */
  #confirmed: ({ readonly number: number } & Master) | undefined

  constructor(
    readonly partition: Partition,
    private readonly producerId: string,
    private readonly connection: Connection,
    private readonly options: ResolvedQueueOptions,
    private readonly untold: Untold,
    rememberBytes: number,
    /** Told of tasks that were confirmed and that the master no longer knows of. */
    private readonly onLost: (batches: RecentBatch[]) => void,
  ) {
    this.#recent = new Recent(rememberBytes)
  }

  get paused(): boolean {
    return performance.now() < this.#pausedUntilMs
  }

  get hasResend(): boolean {
    return this.#resend !== undefined
  }

  get hasVoids(): boolean {
    return this.#voids.length > 0
  }

  /** Something waits for this partition alone. */
  get waits(): boolean {
    return this.hasResend || this.keyed.size > 0 || this.hasVoids || this.doubtful
  }

  /**
   * The master may have come back without the last that it confirmed: its connection broke, or it is another one. Asked
   * only while there is something to restore.
   */
  get doubtful(): boolean {
    if (!this.#confirmed || this.#recent.isEmpty) return false
    const { master, generation } = this.#master
    if (master === this.#confirmed.master && generation === this.#confirmed.generation) return false
    if (!this.#doubted) this.#recent.forget()
    this.#doubted = true
    return !this.#recent.isEmpty
  }

  newBatch(items: Item[]): Batch {
    return { number: this.#nextNumber++, items }
  }

  /** Takes the tasks whose time is over. */
  takeExpired(nowMs: number): Item[] {
    const waiting = this.keyed.takeExpired(nowMs)
    const expired = this.#resend?.items.filter((item) => item.deadlineMs <= nowMs)
    if (this.#resend && expired && expired.length > 0) {
      const items = this.#resend.items.filter((item) => item.deadlineMs > nowMs)
      this.#resend = items.length > 0 ? { number: this.#resend.number, items } : undefined
    }
    return expired ? [...waiting, ...expired] : waiting
  }

  takeResend(): Batch | undefined {
    const batch = this.#resend
    this.#resend = undefined
    return batch
  }

  sendAgain(batch: Batch): void {
    this.#resend = batch
  }

  voidLater(id: string): void {
    if (this.#voids.length < MOST_VOIDS) this.#voids.push(id)
  }

  async send(batch: Batch, confirm: Confirmation | undefined): Promise<Outcome<EnqueueResult>> {
    const before = this.#master
    const tasks = batchOf(batch.items)
    const outcome = await this.#call(batch.number, tasks, confirm)
    if (!outcome.ok) return outcome
    this.#compare(outcome.value.previous, before)
    if (outcome.confirmed) {
      this.#remember(batch.number, tasks, batch.items)
      this.#confirmed = { number: batch.number, ...before }
    }
    return outcome
  }

  /** Asks what the partition remembers of us: number 0 is always a repeat. */
  async check(): Promise<void> {
    const before = this.#master
    const outcome = await this.#call(0, batchOf([]), undefined)
    if (outcome.ok) this.#compare(outcome.value.previous, before)
    else this.pause()
  }

  /** Removes copies. @returns how many were still there */
  async sendVoids(): Promise<number> {
    const ids = this.#voids.splice(0, VOIDS_PER_CALL)
    const outcome = await this.takeBack(ids)
    if (outcome.ok) return outcome.value.removed.length
    this.#voids.unshift(...ids)
    this.pause()
    return 0
  }

  /** Removes tasks that were stored here. */
  async takeBack(ids: readonly string[]): Promise<Outcome<VoidResult>> {
    const before = this.#master
    const call = voidCall(this.partition.keys, {
      producerId: this.producerId,
      // Up to the last number that was given out; not that of a batch which must still be taken.
      batchNumber: (this.#resend?.number ?? this.#nextNumber) - 1,
      rememberBatchMs: REMEMBER_BATCH_MS,
      ids,
    })
    this.#begin()
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'write' })
    this.sending = false
    if (outcome.ok) this.#compare(outcome.value.previous, before)
    return outcome
  }

  #remember(number: number, tasks: TaskBatch, items: readonly Item[]): void {
    let restores = 0
    for (const item of items) restores = Math.max(restores, item.restores)
    if (restores < MOST_RESTORES) this.#recent.add(number, tasks, restores)
  }

  async #call(
    number: number,
    tasks: TaskBatch,
    confirm: Confirmation | undefined,
  ): Promise<Outcome<EnqueueResult>> {
    this.#begin()
    const tally = this.untold.take()
    const call = enqueueCall(this.partition.keys, {
      producerId: this.producerId,
      batchNumber: number,
      rememberBatchMs: REMEMBER_BATCH_MS,
      rememberKeyMs: this.options.idempotencyTtlMs,
      batch: tasks,
      tally,
    })
    const sockets = this.options.connection.connectionsPerNode ?? 1
    const outcome = await this.connection.attempt(this.partition.slot, call, {
      lane: confirm ? 'produce' : 'write',
      socket: this.partition.index % sockets,
      confirm,
    })
    this.sending = false
    if (!outcome.ok && isCertain(outcome.fault)) this.untold.putBack(tally)
    return outcome
  }

  /** To be taken down before a call: who is master when its reply has come may be another one. */
  get #master(): Master {
    const master = this.connection.topology.ownerOf(this.partition.slot)
    return { master, generation: master?.generation }
  }

  /** `previous`: the number that the partition remembered of us. `by`: its master when it was asked. */
  #compare(previous: number, by: Master): void {
    // It forgets us after REMEMBER_BATCH_MS, and then says nothing of what it has lost.
    this.#recent.forget(this.#doubted ? REMEMBER_BATCH_MS / 2 : undefined)
    this.#doubted = false
    if (!this.#confirmed) return
    const { number } = this.#confirmed
    this.#confirmed = { number: Math.min(number, previous), ...by }
    const lost = previous < number ? this.#recent.takeAfter(previous) : []
    if (lost.length > 0) this.onLost(lost)
  }

  #begin(): void {
    this.sending = true
    this.sentAtMs = performance.now()
  }

  /** Nothing is sent for a moment. */
  pause(): void {
    this.#pausedUntilMs = performance.now() + RESEND_MS
  }
}
