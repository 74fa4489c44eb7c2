import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, isCertain } from '../connection/replies.js'
import { LeaseLostError, NotConnectedError, QueueUnavailableError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { fold, inSameBundle } from '../scripts/bundles.js'
import {
  type AcknowledgedLease,
  type ExchangeResult,
  exchangeCall,
  type FetchedTask,
} from '../scripts/exchange.js'
import { releaseCall } from '../scripts/lease.js'
import type { Outlook } from '../scripts/outlook.js'
import { Acknowledgement, type AcknowledgementReceiver } from './acknowledgement.js'
import type { Durability } from './durability.js'
import { Settling } from './settling.js'
import { isKeyed } from './task.js'
import type { Timings } from './timings.js'

/** Most acknowledgements in one call. */
const BATCH_TASKS = 500
/**
 * Most completed tasks that no replica has confirmed yet: with so many, the partition hands out no more to us. So that is
 * the most that a failover makes run again.
 */
const MOST_UNCONFIRMED = 2_000
/** Least time, in ms, for which it is tried to acknowledge a task: longer than a failover. */
export const LEAST_PATIENCE_MS = 60_000
/** Ms before a failed exchange is tried again, if the topology does not change before. */
const RETRY_MS = 50
/** The same after a refusal that will not pass by itself. */
const RETRY_REFUSED_MS = 1_000

export interface Want {
  readonly count: number
  /** See ExchangeInput. */
  readonly least: number
  readonly levels: readonly number[]
  readonly leaseMs: number
  readonly resolve: (batch: FetchedBatch) => void
}

export interface FetchedBatch {
  readonly leaseId: string
  /** performance.now() when the call was sent: the lease runs out no sooner than `leaseMs` after it. */
  readonly askedAtMs: number
  readonly tasks: readonly FetchedTask[]
}

interface Abandoned {
  readonly leaseId: string
  /** Empty: all of the lease, of a fetch whose reply never came. */
  readonly ids: readonly string[]
  /** performance.now() at which the lease runs out anyway. */
  readonly untilMs: number
}

const NOTHING: FetchedBatch = { leaseId: '', askedAtMs: 0, tasks: [] }

export interface LaneHost {
  readonly queue: string
  readonly connection: Connection
  readonly durability: Durability
  readonly keepResultsMs: number
  readonly timings: Timings
  nextLeaseId(): string
  /** `askedAtMs`: performance.now() when the call was sent. */
  onOutlook(partition: Partition, outlook: Outlook, askedAtMs: number): void
  onFailure(partition: Partition, fault: Fault): void
  /** The partition can be asked for tasks again, and may have some. */
  onReachable(partition: Partition): void
}

/**
 * The exchanges with one partition: what is acknowledged and what is wanted meanwhile goes out in one call, and at
 * most one call is under way, so that batches form by themselves when the partition is busy.
 */
export class ConsumerLane {
  #acknowledgements: Acknowledgement[] = []
  readonly #wants: Want[] = []
  /** What goes back before its lease runs out. */
  readonly #abandoned: Abandoned[] = []
  #givingBack: Promise<void> | undefined
  #drainWaiters: (() => void)[] = []
  #sending = false
  #scheduled = false
  #inTurn = false
  #resumeAtMs = 0
  /** A task with a key was not handed out, since no replica knew of it: until one does, none is asked for. */
  #replicaLate = false
  readonly #settling: Settling
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    readonly partition: Partition,
    private readonly host: LaneHost,
  ) {
    this.#settling = new Settling(host.queue, partition, host.durability, (again) => {
      this.#putBack(again)
      this.#pumpSoon()
    })
  }

  /** Whether tasks can be had now; false while the partition is out of reach, or its replica too far behind. */
  get reachable(): boolean {
    return this.#answers && !this.#replicaLate && this.#settling.count < MOST_UNCONFIRMED
  }

  get #answers(): boolean {
    return performance.now() >= this.#resumeAtMs && this.host.connection.serves(this.partition.slot)
  }

  /** Tries for a minute, or for as long as the lease holds if that is longer: while it has no master, it stands still. */
  acknowledge(
    id: string,
    lease: { readonly id: string; readonly lengthMs: number; readonly heldUntilMs: number },
    result: string,
    receiver: AcknowledgementReceiver,
  ): void {
    if (this.#stopped) {
      receiver.refused(new NotConnectedError(this.host.queue))
      return
    }
    const deadlineMs = performance.now() + Math.max(lease.lengthMs, LEAST_PATIENCE_MS)
    this.#acknowledgements.push(
      new Acknowledgement(id, lease.id, result, deadlineMs, lease.heldUntilMs, receiver),
    )
    this.#pumpInTurn()
  }

  fetch(want: Omit<Want, 'resolve'>): Promise<FetchedBatch> {
    if (this.#stopped) return Promise.resolve(NOTHING)
    return new Promise((resolve) => {
      this.#wants.push({ ...want, resolve })
      this.#pumpSoon()
    })
  }

  /** The topology changed: what waits for this partition may go through now. */
  wake(): void {
    this.#resumeAtMs = 0
    const owner = this.host.connection.topology.ownerOf(this.partition.slot)
    this.#settling.followMaster(owner)
    this.#pumpSoon()
    void this.giveBack()
  }

  /** Gives a batch back that nobody takes, as if it had not been fetched. */
  abandon({ leaseId, tasks, askedAtMs }: FetchedBatch, leaseMs: number): void {
    this.#abandoned.push({ leaseId, ids: fold(tasks.map((task) => task.id)), untilMs: askedAtMs + leaseMs })
    void this.giveBack()
  }

  /** Gives back what is to go back, if the partition answers; to be called when it has. */
  giveBack(): Promise<void> {
    this.#givingBack ??= this.#giveBack().finally(() => {
      this.#givingBack = undefined
    })
    return this.#givingBack
  }

  async #giveBack(): Promise<void> {
    while (!this.#stopped && this.#answers) {
      const lease = this.#abandoned.shift()
      if (!lease) return
      if (lease.untilMs <= performance.now()) continue
      const call = releaseCall(this.partition.keys, lease)
      const outcome = await this.host.connection.attempt(this.partition.slot, call, { lane: 'consume' })
      if (outcome.ok) continue
      // When the partition answers again; to give back twice does no harm.
      this.#abandoned.push(lease)
      return
    }
  }

  /** Resolves when no acknowledgement waits any more. */
  async drained(): Promise<void> {
    while (this.#acknowledgements.length > 0 || this.#sending || this.#settling.count > 0) {
      await new Promise<void>((resolve) => this.#drainWaiters.push(resolve))
    }
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const want of this.#wants.splice(0)) want.resolve(NOTHING)
    this.#putBack([])
  }

  #putBack(acknowledgements: readonly Acknowledgement[]): void {
    this.#acknowledgements.unshift(...acknowledgements)
    if (!this.#stopped) return
    for (const one of this.#acknowledgements.splice(0))
      one.receiver.refused(new NotConnectedError(this.host.queue))
  }

  /** At the end of this turn of the event loop: whoever has done a task mostly asks for the next one, in the same call. */
  #pumpInTurn(): void {
    if (this.#inTurn || this.#sending) return
    this.#inTurn = true
    setImmediate(() => {
      this.#inTurn = false
      this.#pumpSoon()
    })
  }

  #pumpSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      if (!this.#sending) void this.#pump()
    })
  }

  async #pump(): Promise<void> {
    if (this.#stopped) return
    this.#dropExpired()
    if (!this.reachable) for (const want of this.#wants.splice(0)) want.resolve(NOTHING)
    if (!this.#answers) {
      if (this.#acknowledgements.length > 0) this.#pumpLater()
      return
    }
    const want = this.#wants.shift()
    const sent = this.#nextAcknowledgements()
    if (!want && sent.length === 0) return
    this.#sending = true
    await this.#exchange(want, sent)
    this.#sending = false
    if (this.#wants.length > 0 || this.#acknowledgements.length > 0) this.#pumpSoon()
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  /** Cut between bundles, not through one. */
  #nextAcknowledgements(): Acknowledgement[] {
    const waiting = this.#acknowledgements
    let count = Math.min(BATCH_TASKS, waiting.length)
    while (count > 0 && count < waiting.length) {
      const [last, next] = [waiting[count - 1] as Acknowledgement, waiting[count] as Acknowledgement]
      if (!inSameBundle(last.id, next.id)) break
      count++
    }
    return waiting.splice(0, count)
  }

  async #exchange(want: Want | undefined, sent: Acknowledgement[]): Promise<void> {
    const leaseId = want ? this.host.nextLeaseId() : ''
    const groups = groupByLease(sent)
    const askedAtMs = performance.now()
    const carried = this.host.timings.take(askedAtMs)
    const call = exchangeCall(this.partition.keys, {
      acknowledge: groups.map(({ lease }) => lease),
      keepResultsMs: this.host.keepResultsMs,
      carried: carried?.text ?? '',
      fetch: {
        leaseId,
        leaseMs: want?.leaseMs ?? 0,
        count: want?.count ?? 0,
        least: want?.least ?? 0,
        levels: want?.levels ?? [],
      },
    })
    const outcome = await this.host.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (outcome.ok) {
      this.#settle(
        groups.flatMap(({ members }) => members),
        outcome.value,
        outcome.node,
      )
      this.host.onOutlook(this.partition, outcome.value.outlook, askedAtMs)
      if (want) await this.#handOut(want, { leaseId, askedAtMs, tasks: outcome.value.fetched }, outcome.node)
      if (this.#abandoned.length > 0) void this.giveBack()
      return
    }
    const { fault } = outcome
    this.host.timings.failed(carried, fault)
    if (!isCertain(fault)) {
      for (const acknowledgement of sent) acknowledgement.resent = true
      if (want) this.#abandoned.push({ leaseId, ids: [], untilMs: askedAtMs + want.leaseMs })
    }
    this.#putBack(sent)
    const lasting = fault.kind === 'rejected' || fault.kind === 'denied'
    this.#resumeAtMs = performance.now() + (lasting ? RETRY_REFUSED_MS : RETRY_MS)
    this.#pumpLater()
    want?.resolve(NOTHING)
    this.host.onFailure(this.partition, fault)
  }

  /**
   * A task with a key may not run twice while its worker lives: it is handed out once a replica knows that it was taken,
   * and else given back. The price is a round trip to the replica. Others are handed out at once.
   */
  async #handOut(want: Want, batch: FetchedBatch, node: Node): Promise<void> {
    const nowMs = performance.now()
    const knows =
      !batch.tasks.some((task) => isKeyed(task.record)) ||
      (await this.host.durability.ofPast(node, this.partition, nowMs)) === 'safe'
    if (knows) {
      want.resolve(batch)
      return
    }
    this.abandon(batch, want.leaseMs)
    want.resolve(NOTHING)
    this.#replicaLate = true
    const longestMs = nowMs + want.leaseMs
    void this.host.durability.ofPast(node, this.partition, longestMs).then(() => {
      this.#replicaLate = false
      this.host.onReachable(this.partition)
    })
  }

  #settle(sent: readonly Acknowledgement[], result: ExchangeResult, node: Node): void {
    const done: Acknowledgement[] = []
    const apart: Acknowledgement[] = []
    sent.forEach((acknowledgement, i) => {
      const settled = result.acknowledged[i]
      if (settled === 'apart') {
        acknowledgement.alone = true
        apart.push(acknowledgement)
        return
      }
      // Sent twice and gone: the first time got through, unless somebody else may have completed the task in between.
      const first =
        settled === 'gone' && acknowledgement.resent && performance.now() < acknowledgement.oursUntilMs
      if (settled === 'done' || first) done.push(acknowledgement)
      else acknowledgement.receiver.refused(new LeaseLostError(acknowledgement.id))
    })
    this.#putBack(apart)
    if (done.length > 0) void this.#secure(done, node)
  }

  async #secure(done: readonly Acknowledgement[], node: Node): Promise<void> {
    const wasFull = this.#settling.count + done.length >= MOST_UNCONFIRMED
    await this.#settling.secure(done, node)
    if (wasFull) this.host.onReachable(this.partition)
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  #dropExpired(): void {
    const nowMs = performance.now()
    if (!this.#acknowledgements.some((one) => one.deadlineMs <= nowMs)) return
    this.#acknowledgements = this.#acknowledgements.filter((one) => {
      if (one.deadlineMs > nowMs) return true
      const problem = `task ${one.id} could not be acknowledged: its shard was out of reach for too long`
      one.receiver.refused(new QueueUnavailableError(this.host.queue, problem))
      return false
    })
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  #pumpLater(): void {
    clearTimeout(this.#timer)
    if (this.#stopped) return
    const inMs = Math.max(RETRY_MS, this.#resumeAtMs - performance.now()) + 1
    this.#timer = setTimeout(() => this.#pumpSoon(), inMs)
  }
}

function groupByLease(
  sent: readonly Acknowledgement[],
): { lease: AcknowledgedLease; members: Acknowledgement[] }[] {
  const groups = new Map<string, Acknowledgement[]>()
  for (const one of sent) {
    const group = groups.get(one.leaseId)
    if (group) group.push(one)
    else groups.set(one.leaseId, [one])
  }
  return [...groups].map(([leaseId, members]) => ({
    lease: {
      leaseId,
      ids: members.map((one) => one.id),
      results: members.map((one) => one.result),
      oneByOne: members.some((one) => one.alone),
    },
    members,
  }))
}
