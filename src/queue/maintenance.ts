import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, refusesAll } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import type { Outlook } from '../scripts/outlook.js'
import { recoverCall, tendCall } from '../scripts/tend.js'
import { RecoveryGrace } from './recovery-grace.js'

/** Ms without any news of a partition after which it is looked at: what a lost wake costs at most. */
const LOOK_IDLE_MS = 15_000
/** The same while it has tasks that nobody here has room for, whose new leases we would not hear of. */
const LOOK_BUSY_MS = 1_500
/** Ms before a partition is looked at again that could not be; and after a refusal that will not pass by itself. */
const RETRY_MS = 100
const RETRY_REFUSED_MS = 1_500
/** A look at a lease that runs out comes so many ms after, and up to `LEASE_JITTER_MS` later: not every worker is to come at once. */
const LEASE_DELAY_MS = 5
const LEASE_JITTER_MS = 100
/** The same for results, which nobody waits for: so that many go in one call, also where they are kept for a short time. */
const RESULT_DELAY_MS = 1_000
const RESULT_JITTER_MS = 2_000
/** Leases that are recovered before what else is due is looked after. */
const LEASES_PER_PASS = 16

export interface MaintenanceHost {
  readonly connection: Connection
  readonly stopped: boolean
  /** What a look has found, and whether tasks are ready there that we may take. */
  onLooked(partition: Partition, outlook: Outlook, askedAtMs: number): void
  onFailure(partition: Partition, fault: Fault): void
  /** `nextAtMs` is nearer than it was. */
  onNearer(atMs: number): void
}

/**
 * What has to be done for a partition when its time comes, by any consumer: scheduled tasks become ready, tasks of leases that ran out
 * go back, results that expired go. When that is, every reply tells; here it is remembered, and carried out. News can bring it
 * nearer and never put it off, however many replies come; only a look that was made begins anew.
 */
export class Maintenance {
  /** Something falls due (performance.now()). */
  #dueAtMs = Number.POSITIVE_INFINITY
  /** Nothing does, as far as is known; then there has to be news again by this time. */
  #newsByMs = Number.POSITIVE_INFINITY
  #leasesNotBeforeMs = 0
  /** From 0 to 1; another one after each look, not for each reply, or the lowest of very many would count. */
  #jitter = Math.random()
  #running = false
  /** Something was scheduled while a look was under way. */
  #again = false
  readonly #grace = new RecoveryGrace()

  constructor(
    private readonly partition: Partition,
    private readonly host: MaintenanceHost,
  ) {}

  /** performance.now() at which `run` is to be called. */
  get nextAtMs(): number {
    return this.#running ? Number.POSITIVE_INFINITY : Math.min(this.#dueAtMs, this.#newsByMs)
  }

  /** Not later than then. */
  by(atMs: number): void {
    this.#dueAtMs = Math.min(this.#dueAtMs, atMs)
    this.#tell()
  }

  /** A lease runs out in so many ms, which no reply has told. */
  leaseEnds(inMs: number): void {
    this.by(this.#lookAtLeaseMs(performance.now() + inMs))
  }

  /** A reply has told how the partition stands. @param ready whether it has tasks that could be had */
  heard(outlook: Outlook, ready: boolean): void {
    const nowMs = performance.now()
    this.#newsByMs = nowMs + (ready ? LOOK_BUSY_MS : LOOK_IDLE_MS)
    let dueAtMs = this.#dueAtMs
    if (outlook.scheduledInMs !== undefined) dueAtMs = Math.min(dueAtMs, nowMs + outlook.scheduledInMs)
    if (outlook.leaseInMs !== undefined)
      dueAtMs = Math.min(dueAtMs, this.#lookAtLeaseMs(nowMs + outlook.leaseInMs))
    if (outlook.resultInMs !== undefined) {
      const pauseMs = RESULT_DELAY_MS + this.#jitter * RESULT_JITTER_MS
      dueAtMs = Math.min(dueAtMs, nowMs + outlook.resultInMs + pauseMs)
    }
    this.#dueAtMs = dueAtMs
    this.#tell()
  }

  /** A call to the partition has failed. */
  failed(fault: Fault): void {
    const nowMs = performance.now()
    // While that lasts nobody can renew, and its master may stay the same: one that was restarted takes connections 3 s before calls.
    if (refusesAll(fault)) this.#grace.outage(nowMs)
    const lasting = fault.kind === 'rejected' || fault.kind === 'denied'
    this.by(nowMs + (lasting ? RETRY_REFUSED_MS : RETRY_MS))
  }

  /** The topology has changed. */
  followMaster(owner: Node | undefined): void {
    this.#grace.follow(owner, performance.now())
  }

  /** Looks at the partition and does what is due. What falls due meanwhile is looked at once more. */
  async run(): Promise<void> {
    if (this.host.stopped) return
    if (this.#running) {
      this.#again = true
      return
    }
    this.#running = true
    this.#again = false
    this.#dueAtMs = Number.POSITIVE_INFINITY
    this.#newsByMs = performance.now() + LOOK_IDLE_MS
    try {
      await this.#pass()
    } finally {
      this.#running = false
    }
    if (this.#again) this.by(performance.now())
    this.#tell()
  }

  async #pass(): Promise<void> {
    const { connection } = this.host
    const askedAtMs = performance.now()
    const call = tendCall(this.partition.keys)
    const outcome = await connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (this.host.stopped) return
    if (!outcome.ok) {
      this.host.onFailure(this.partition, outcome.fault)
      return
    }
    const nowMs = performance.now()
    // It may have moved, and we be the first to find out.
    this.#grace.follow(outcome.node, nowMs)
    const { expiredLeases, more, outlook, serverMs } = outcome.value
    this.#grace.told(outcome.node, serverMs, askedAtMs, nowMs)
    const { over, againAtMs } = this.#grace.judge(expiredLeases, nowMs)
    this.#leasesNotBeforeMs = againAtMs === Number.POSITIVE_INFINITY ? 0 : againAtMs
    this.#jitter = Math.random()
    this.host.onLooked(this.partition, outlook, askedAtMs)
    // So we take half of the master's time at most, whatever has piled up there.
    if (more) this.by(nowMs + Math.max(1, nowMs - askedAtMs))
    for (const leaseId of over.slice(0, LEASES_PER_PASS)) if (!(await this.#recover(leaseId))) return
    if (over.length > 0) this.by(performance.now())
  }

  /** Gives the tasks of a lease that has run out to others; false if that could not be done to the end. */
  async #recover(leaseId: string): Promise<boolean> {
    for (;;) {
      const call = recoverCall(this.partition.keys, leaseId)
      const outcome = await this.host.connection.attempt(this.partition.slot, call, { lane: 'consume' })
      if (this.host.stopped) return false
      if (!outcome.ok) {
        this.host.onFailure(this.partition, outcome.fault)
        return false
      }
      if (outcome.value.kind === 'alive' || outcome.value.left === 0) return true
    }
  }

  #lookAtLeaseMs(overAtMs: number): number {
    return Math.max(overAtMs + LEASE_DELAY_MS + this.#jitter * LEASE_JITTER_MS, this.#leasesNotBeforeMs)
  }

  #tell(): void {
    const atMs = this.nextAtMs
    if (atMs !== Number.POSITIVE_INFINITY) this.host.onNearer(atMs)
  }
}
