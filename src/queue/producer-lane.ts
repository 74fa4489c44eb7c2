import type { Confirmation, Connection, Outcome } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { isCertain } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import type { NewTask } from '../scripts/enqueue.js'
import { type EnqueueResult, enqueueCall } from '../scripts/enqueue.js'
import { batchOf, type TaskBatch } from '../scripts/task-batch.js'
import { type Copy, type VoidResult, voidCall } from '../scripts/void.js'
import { Backlog } from './backlog.js'
import { newIdentity } from './identity.js'
import type { Item } from './item.js'
import { nameTasks } from './naming.js'
import { REMEMBER_BATCH_MS, type ResolvedQueueOptions } from './queue-options.js'
import { Recent, type RecentBatch } from './recent.js'
import { namesFor, type Stamps } from './stamps.js'
import { isKeyed } from './task.js'
import type { Untold } from './untold.js'

/** Ms before something that must go to this partition is sent again. */
const RESEND_MS = 50
/** Most copies that are remembered to be voided, and most of them in one call. */
const MOST_VOIDS = 10_000
const VOIDS_PER_CALL = 500
/** Ms for which a removal is remembered that no replica is known to have heard of: longer than a failover. */
const REMEMBER_REMOVALS_MS = 60_000
/** A server that loses a task so often does not keep anything, and is not to be fed with it for ever. */
const MOST_RESTORES = 3
/** Ms after a break from which on a task that is stored again is late, and in how many ms it is due then. */
const RESTORED_LATE_MS = 2_000
const RESTORED_DUE_MS = 1_500

interface Master {
  readonly master: Node | undefined
  /** Which of its lives (see node.ts). */
  readonly generation: number | undefined
}

export interface Batch {
  readonly number: number
  /** Sent along with the number: only the same batch has both (enqueue.lua). */
  readonly stamp: string
  readonly items: Item[]
  /** How often its number or its names turned out to be those of somebody else. */
  readonly clashes: number
  /** It may be stored and is large: the number is asked for before the tasks are sent again. */
  readonly askFirst?: boolean
  /** It is stored, and this is the master that said so, in which of its lives (see node.ts). */
  readonly storedAt?: { readonly node: Node; readonly generation: number }
}

/**
 * What one producer has to do with one partition. At most one call is under way, so the number of its batches only
 * grows, and the script can tell a repeat from a new one by that number alone.
 */
export class ProducerLane {
  readonly keyed = new Backlog()
  sending = false
  sentAtMs = 0
  /** The last call was not carried out, or its reply did not come. */
  refused = false
  /** A batch whose fate is open and that may only go to this partition. */
  #resend: Batch | undefined
  #pausedUntilMs = 0
  #nextNumber = 1
  /** Copies that were confirmed elsewhere and are to be removed here. */
  #voids: Copy[] = []
  /** What the master has removed, until its replicas are known to have heard of it: one that is promoted before has the copies still. */
  #removals: { readonly copies: readonly Copy[]; readonly by: Master; readonly atMs: number }[] = []
  readonly #recent: Recent
  readonly #reserve = (bytes: number) => this.#recent.reserve(bytes)
  /** A break was noticed, and it is not known yet what it cost. */
  #doubted = false
  /** performance.now() when the last break was noticed. */
  #brokeAtMs = Number.NEGATIVE_INFINITY
  /** Highest number that was confirmed, and who was master then. */
  #confirmed: ({ readonly number: number } & Master) | undefined

  constructor(
    readonly partition: Partition,
    /** What the partition knows the producer by; all lanes begin with the same. */
    private producerId: string,
    private readonly stamps: Stamps,
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

  /** What is to be sent again is stored here, and may be confirmed by any partition. */
  get resendIsLoose(): boolean {
    return (
      this.#resend?.storedAt !== undefined && this.#resend.items.some(({ keyed, large }) => !keyed && !large)
    )
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
    if (!this.#doubted) {
      this.#recent.forget()
      this.#brokeAtMs = performance.now()
    }
    this.#doubted = true
    return !this.#recent.isEmpty
  }

  newBatch(items: Item[], clashes = 0): Batch {
    const stamp = this.stamps.next()
    nameTasks(items, namesFor(this.partition.index, stamp, this.producerId))
    return { number: this.#nextNumber++, stamp, items, clashes }
  }

  /**
   * Somebody else is known by the same identity. What was confirmed in the last moments cannot be asked for any more under the
   * new one, and is not stored again should this master lose it.
   */
  takeNewIdentity(): void {
    this.producerId = newIdentity()
    this.#nextNumber = 1
    this.#confirmed = undefined
    this.#doubted = false
    this.#recent.forget(-1)
  }

  /** Takes the tasks whose time is over. */
  takeExpired(nowMs: number): Item[] {
    const waiting = this.keyed.takeExpired(nowMs)
    const expired = this.#resend?.items.filter((item) => item.deadlineMs <= nowMs)
    if (this.#resend && expired && expired.length > 0) {
      const items = this.#resend.items.filter((item) => item.deadlineMs > nowMs)
      this.#resend = items.length > 0 ? { ...this.#resend, items } : undefined
    }
    return expired ? [...waiting, ...expired] : waiting
  }

  takeResend(): Batch | undefined {
    const batch = this.#resend
    this.#resend = undefined
    return batch
  }

  sendAgain(batch: Batch): void {
    // Only one batch is under way, and it is not sent while another one waits to be sent again.
    const { number = batch.number, items = [] } = this.#resend ?? {}
    if (number !== batch.number)
      throw new Error(`batch ${batch.number} is to be sent again while batch ${number} waits for the same`)
    this.#resend = { ...batch, items: [...items, ...batch.items] }
  }

  voidLater({ id, bundle, place, level }: Copy): void {
    if (this.#voids.length < MOST_VOIDS) this.#voids.push({ id, bundle, place, level })
  }

  /** To be called when the topology has changed: another master may not have heard of what the one before has removed. */
  repeatRemovals(): void {
    if (this.#removals.length === 0) return
    const now = this.#master
    const oldestMs = performance.now() - REMEMBER_REMOVALS_MS
    const undone = this.#removals.filter(({ by, atMs }) => !isSame(by, now) && atMs > oldestMs)
    this.#removals = this.#removals.filter(({ by }) => isSame(by, now))
    for (const { copies } of undone) for (const copy of copies) this.voidLater(copy)
  }

  async send(batch: Batch, confirm: Confirmation | undefined): Promise<Outcome<EnqueueResult>> {
    const before = this.#master
    if (batch.askFirst) {
      const asked = await this.#call(0, '', batchOf([]), confirm)
      if (!asked.ok) return asked
      const { previous, previousStamp } = asked.value
      if (previous === batch.number && previousStamp === batch.stamp) {
        this.#compare(previous, before)
        // Too large to be remembered, and so there is nothing else to do.
        if (asked.confirmed) this.#confirmed = { number: batch.number, ...before }
        return asked
      }
    }
    const sentAtMs = performance.now()
    this.#recent.begin()
    const tasks = batchOf(this.#inTime(batch.items), this.#reserve)
    const outcome = await this.#call(batch.number, batch.stamp, tasks, confirm)
    if (!outcome.ok || outcome.value.kind === 'clash') return outcome
    this.#compare(outcome.value.previous, before)
    if (outcome.confirmed) {
      this.#remember(batch.number, tasks, batch.items)
      this.#confirmed = { number: batch.number, ...before }
      // Replicas follow one stream: they have heard of all that came before.
      if (this.#removals.length > 0)
        this.#removals = this.#removals.filter(({ by, atMs }) => atMs > sentAtMs || !isSame(by, before))
    }
    return outcome
  }

  /**
   * Tasks with a key that are stored again when consumers have been let in long since (admission.ts) may be in somebody's hands: they
   * are due a little later, so that they have the time to take them back (reassertion.ts). What was enqueued behind them waits as long.
   */
  #inTime(items: readonly Item[]): readonly NewTask[] {
    const isLate = performance.now() - this.#brokeAtMs > RESTORED_LATE_MS
    // They are put back before all others.
    if (!isLate || (items[0]?.restores ?? 0) === 0) return items
    this.#pausedUntilMs = performance.now() + 1.2 * RESTORED_DUE_MS
    return items.map((item) => {
      if (!isKeyed(item.record)) return item
      const { id, bundle, place, record, level, idempotencyKey } = item
      const delayMs = Math.max(item.delayMs, RESTORED_DUE_MS)
      return { id, bundle, place, record, level, idempotencyKey, delayMs }
    })
  }

  /** Asks what the partition remembers of us: number 0 is always a repeat. */
  async check(): Promise<void> {
    const before = this.#master
    const outcome = await this.#call(0, '', batchOf([]), undefined)
    if (outcome.ok) this.#compare(outcome.value.previous, before)
    else this.pause()
  }

  /** Removes copies. @returns how many were still there */
  async sendVoids(): Promise<number> {
    const copies = this.#voids.splice(0, VOIDS_PER_CALL)
    // Up to the last number that was given out; not that of a batch which must still be taken.
    const outcome = await this.#void(copies, (this.#resend?.number ?? this.#nextNumber) - 1)
    if (outcome.ok) return outcome.value.removed.size
    this.#voids.unshift(...copies)
    this.pause()
    return 0
  }

  /**
   * Removes tasks of a batch that was stored here. Its number stays as it is: others of the batch may be sent again under it, and a
   * master that has not heard of it must not take them for a repeat.
   */
  takeBack(batch: Batch): Promise<Outcome<VoidResult>> {
    return this.#void(batch.items, batch.number - 1)
  }

  async #void(copies: readonly Copy[], batchNumber: number): Promise<Outcome<VoidResult>> {
    const before = this.#master
    const { producerId } = this
    const input = { producerId, batchNumber, rememberBatchMs: REMEMBER_BATCH_MS, copies }
    this.#begin()
    const call = voidCall(this.partition.keys, input)
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'write' })
    this.#end(outcome)
    if (!outcome.ok) return outcome
    this.#compare(outcome.value.previous, before)
    this.#rememberRemoval(copies, before)
    return outcome
  }

  #rememberRemoval(copies: readonly Copy[], by: Master): void {
    const known = this.#removals.reduce((sum, removal) => sum + removal.copies.length, 0)
    if (known + copies.length > MOST_VOIDS) this.#removals.shift()
    // Not the items themselves, which hold their records.
    const names = copies.map(({ id, bundle, place, level }) => ({ id, bundle, place, level }))
    this.#removals.push({ copies: names, by, atMs: performance.now() })
  }

  #remember(number: number, tasks: TaskBatch, items: readonly Item[]): void {
    let restores = 0
    for (const item of items) restores = Math.max(restores, item.restores)
    if (restores < MOST_RESTORES) this.#recent.add(number, tasks, restores)
  }

  async #call(
    number: number,
    stamp: string,
    tasks: TaskBatch,
    confirm: Confirmation | undefined,
  ): Promise<Outcome<EnqueueResult>> {
    this.#begin()
    const tally = this.untold.take()
    const call = enqueueCall(this.partition.keys, {
      producerId: this.producerId,
      batchNumber: number,
      stamp,
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
    this.#end(outcome)
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

  #end(outcome: Outcome<unknown>): void {
    this.sending = false
    this.refused = !outcome.ok
  }

  /** Nothing is sent for a moment. */
  pause(): void {
    this.#pausedUntilMs = performance.now() + RESEND_MS
  }
}

const isSame = (a: Master, b: Master) => a.master === b.master && a.generation === b.generation
