import type { Connection } from '../connection/connection.js'
import { type Fault, isCertain } from '../connection/replies.js'
import { LeaseLostError, QueueUnavailableError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import {
  type AcknowledgedLease,
  type ExchangeResult,
  exchangeCall,
  type FetchedTask,
} from '../scripts/exchange.js'
import { releaseCall } from '../scripts/lease.js'
import type { Outlook } from '../scripts/outlook.js'
import type { Settled } from '../scripts/settled.js'

/** Most acknowledgements in one call. */
const BATCH_TASKS = 500
/** Ms before a failed exchange is tried again, if the topology does not change before. */
const RETRY_MS = 50

export interface Acknowledgement {
  readonly id: string
  readonly leaseId: string
  readonly result: string
  /** performance.now() until which it is worth trying. */
  readonly deadlineMs: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  /** Sent before, without a reply. */
  resent: boolean
}

export interface Want {
  readonly count: number
  readonly levels: readonly number[]
  readonly leaseMs: number
  readonly resolve: (batch: FetchedBatch) => void
}

export interface FetchedBatch {
  readonly leaseId: string
  readonly tasks: readonly FetchedTask[]
}

export interface LaneHost {
  readonly queue: string
  readonly connection: Connection
  readonly keepResultsMs: number
  nextLeaseId(): string
  /** `askedAtMs`: performance.now() when the call was sent. */
  onOutlook(partition: Partition, outlook: Outlook, askedAtMs: number): void
  onFailure(partition: Partition, fault: Fault): void
}

/**
 * The exchanges with one partition: what is acknowledged and what is wanted meanwhile goes out in one call, and at
 * most one call is under way, so that batches form by themselves when the partition is busy.
 */
export class ConsumerLane {
  #acknowledgements: Acknowledgement[] = []
  readonly #wants: Want[] = []
  /** Leases of fetches whose reply never came: their tasks, if there are any, go back before the lease runs out. */
  readonly #abandoned: string[] = []
  #drainWaiters: (() => void)[] = []
  #sending = false
  #scheduled = false
  #resumeAtMs = 0
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    readonly partition: Partition,
    private readonly host: LaneHost,
  ) {}

  /** Whether a want would be sent now; false while the partition is out of reach. */
  get reachable(): boolean {
    return performance.now() >= this.#resumeAtMs && this.host.connection.serves(this.partition.slot)
  }

  acknowledge(id: string, leaseId: string, result: string, forMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadlineMs = performance.now() + forMs
      this.#acknowledgements.push({ id, leaseId, result, deadlineMs, resolve, reject, resent: false })
      this.#pumpSoon()
    })
  }

  fetch(count: number, levels: readonly number[], leaseMs: number): Promise<FetchedBatch> {
    return new Promise((resolve) => {
      this.#wants.push({ count, levels, leaseMs, resolve })
      this.#pumpSoon()
    })
  }

  /** The topology changed: what waits for this partition may go through now. */
  wake(): void {
    this.#resumeAtMs = 0
    this.#pumpSoon()
  }

  /** Resolves when no acknowledgement waits any more. */
  async drained(): Promise<void> {
    while (this.#acknowledgements.length > 0 || this.#sending) {
      await new Promise<void>((resolve) => this.#drainWaiters.push(resolve))
    }
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const want of this.#wants.splice(0)) want.resolve({ leaseId: '', tasks: [] })
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
    if (!this.reachable) {
      for (const want of this.#wants.splice(0)) want.resolve({ leaseId: '', tasks: [] })
      if (this.#acknowledgements.length > 0) this.#pumpLater()
      return
    }
    const want = this.#wants.shift()
    const sent = this.#acknowledgements.splice(0, BATCH_TASKS)
    if (!want && sent.length === 0) return
    this.#sending = true
    await this.#exchange(want, sent)
    this.#sending = false
    if (this.#wants.length > 0 || this.#acknowledgements.length > 0) this.#pumpSoon()
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  async #exchange(want: Want | undefined, sent: Acknowledgement[]): Promise<void> {
    const leaseId = want ? this.host.nextLeaseId() : ''
    const groups = groupByLease(sent)
    const call = exchangeCall(this.partition.keys, {
      acknowledge: groups.map(({ lease }) => lease),
      keepResultsMs: this.host.keepResultsMs,
      fetch: { leaseId, leaseMs: want?.leaseMs ?? 0, count: want?.count ?? 0, levels: want?.levels ?? [] },
    })
    const askedAtMs = performance.now()
    const outcome = await this.host.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (outcome.ok) {
      this.#settle(
        groups.flatMap(({ members }) => members),
        outcome.value,
      )
      this.host.onOutlook(this.partition, outcome.value.outlook, askedAtMs)
      want?.resolve({ leaseId, tasks: outcome.value.fetched })
      if (this.#abandoned.length > 0) await this.#releaseAbandoned()
      return
    }
    const certain = isCertain(outcome.fault)
    if (!certain) {
      for (const acknowledgement of sent) acknowledgement.resent = true
      if (want) this.#abandoned.push(leaseId)
    }
    this.#acknowledgements = [...sent, ...this.#acknowledgements]
    this.#resumeAtMs = performance.now() + RETRY_MS
    this.#pumpLater()
    want?.resolve({ leaseId: '', tasks: [] })
    this.host.onFailure(this.partition, outcome.fault)
  }

  #settle(sent: readonly Acknowledgement[], result: ExchangeResult): void {
    sent.forEach((acknowledgement, i) => {
      const settled: Settled = result.acknowledged[i] ?? 'lost'
      // Sent twice and gone: the first time got through. Should another worker have completed the task in between,
      // the work is done all the same.
      if (settled === 'done' || (settled === 'gone' && acknowledgement.resent)) acknowledgement.resolve()
      else acknowledgement.reject(new LeaseLostError(acknowledgement.id))
    })
  }

  async #releaseAbandoned(): Promise<void> {
    for (const leaseId of this.#abandoned.splice(0)) {
      const call = releaseCall(this.partition.keys, { leaseId, ids: [] })
      const outcome = await this.host.connection.attempt(this.partition.slot, call, { lane: 'consume' })
      // Left to the lease: it runs out, and the janitor puts the tasks back.
      if (!outcome.ok) return
    }
  }

  #dropExpired(): void {
    const nowMs = performance.now()
    if (!this.#acknowledgements.some((one) => one.deadlineMs <= nowMs)) return
    this.#acknowledgements = this.#acknowledgements.filter((one) => {
      if (one.deadlineMs > nowMs) return true
      const problem = `task ${one.id} could not be acknowledged while its lease held`
      one.reject(new QueueUnavailableError(this.host.queue, problem))
      return false
    })
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  #pumpLater(): void {
    clearTimeout(this.#timer)
    if (!this.#stopped) this.#timer = setTimeout(() => this.#pumpSoon(), RETRY_MS + 1)
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
    lease: { leaseId, ids: members.map((one) => one.id), results: members.map((one) => one.result) },
    members,
  }))
}
