import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, isCertain } from '../connection/replies.js'
import { LeaseLostError, NotConnectedError, QueueUnavailableError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import type { Named } from '../scripts/bundles.js'
import { type AcknowledgedLease, type ExchangeResult, exchangeCall } from '../scripts/exchange.js'
import type { Outlook } from '../scripts/outlook.js'
import type { ScriptCall } from '../scripts/script.js'
import { Acknowledgement, type AcknowledgementReceiver, LEAST_PATIENCE_MS } from './acknowledgement.js'
import { Admission } from './admission.js'
import type { Durability } from './durability.js'
import { endsWithin } from './ends-within.js'
import { HandingBack } from './handing-back.js'
import { type HandedBatch, hasKey, Lease } from './lease.js'
import { leaseNow } from './lease-clock.js'
import { Reassertion, type Rescue } from './reassertion.js'
import { Settling } from './settling.js'
import type { Timings } from './timings.js'

/** Most acknowledgements in one call. */
const BATCH_TASKS = 500
/**
 * Most completed tasks that no replica has confirmed yet: with so many, the partition hands out no more to us. So that is
 * the most that a failover makes run again.
 */
const MOST_UNCONFIRMED = 2_000
/** Longest, in ms, that a call about a task in hand waits for what is held to be asserted before. */
const ASSERTED_MS = 3_000
/**
 * Ms for which the tasks without a key of a fetch wait for those with one: longer than replicas in good order take, so that a fetch
 * mostly ends as a whole.
 */
const TOGETHER_MS = 20
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
  /** undefined: nothing could be had. */
  readonly resolve: (fetched: Fetched | undefined) => void
}

export interface Fetched {
  readonly batch: HandedBatch
  /** Tasks with a key of the same fetch, which the replicas have not confirmed yet; undefined if they do not in time. */
  readonly rest?: Promise<HandedBatch | undefined>
}

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
  readonly #handingBack: HandingBack
  #drainWaiters: (() => void)[] = []
  #sending = false
  #scheduled = false
  #inTurn = false
  #resumeAtMs = 0
  /** A task with a key was not handed out, since no replica knew of it: until one does, none is asked for. */
  #replicaLate = false
  readonly #settling: Settling
  readonly #admission: Admission
  readonly #reassertion: Reassertion
  #timer: NodeJS.Timeout | undefined
  #admissionTimer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(
    readonly partition: Partition,
    private readonly host: LaneHost,
  ) {
    this.#settling = new Settling(host.queue, partition, host.durability, (again) => {
      this.#putBack(again)
      this.#pumpSoon()
    })
    this.#handingBack = new HandingBack(
      host.connection,
      partition,
      () => this.#answers,
      (leaseId, id, call) => this.#reassertion.leaving(leaseId, id, call),
    )
    this.#admission = new Admission(host.connection, partition)
    this.#reassertion = new Reassertion(
      host.connection,
      partition,
      (fault) => host.onFailure(partition, fault),
      () => {
        this.#pumpSoon()
        host.onReachable(partition)
      },
    )
  }

  /**
   * Whether tasks can be had now; false while the partition is out of reach, its replica too far behind, its master has just been
   * restarted, or does not know yet what we hold.
   */
  get reachable(): boolean {
    return (
      this.#answers &&
      this.#admission.waitMs === 0 &&
      !this.#replicaLate &&
      !this.#reassertion.pending &&
      this.#settling.count < MOST_UNCONFIRMED
    )
  }

  get #answers(): boolean {
    return performance.now() >= this.#resumeAtMs && this.host.connection.serves(this.partition.slot)
  }

  /** Tries for a minute, or for as long as the lease holds if that is longer: while it has no master, it stands still. */
  acknowledge(
    task: Named,
    lease: Lease,
    result: string,
    receiver: AcknowledgementReceiver,
    nowMs: number,
  ): void {
    if (this.#stopped) {
      receiver.refused(new NotConnectedError(this.host.queue))
      return
    }
    const deadlineMs = nowMs + Math.max(lease.lengthMs, LEAST_PATIENCE_MS)
    if (!this.#reassertion.isEmpty) this.#reassertion.settling(lease.id, task.id)
    this.#acknowledgements.push(
      new Acknowledgement(task, lease.id, result, deadlineMs, lease.heldUntilMs, receiver),
    )
    this.#pumpInTurn()
  }

  fetch(want: Omit<Want, 'resolve'>): Promise<Fetched | undefined> {
    if (this.#stopped) return Promise.resolve(undefined)
    return new Promise((resolve) => {
      this.#wants.push({ ...want, resolve })
      this.#pumpSoon()
    })
  }

  /** The topology changed: what waits for this partition may go through now. */
  wake(): void {
    this.#resumeAtMs = 0
    const owner = this.#owner
    // First, since what is acknowledged again has to be held again before.
    this.#reassertion.follow(owner)
    this.#settling.followMaster(owner)
    this.#pumpSoon()
    void this.#handingBack.run()
  }

  /** A call to the partition has failed, whoever sent it. */
  failed(fault: Fault): void {
    this.#admission.failed(fault)
  }

  /** Their holder is about to renew these leases. */
  wanted(leaseIds: readonly string[], leaseMs: number): void {
    this.#reassertion.wanted(leaseIds, leaseMs)
  }

  /** See `Reassertion.rescue`. */
  rescue(leaseIds: readonly string[]): Promise<Rescue | undefined> {
    this.#reassertion.follow(this.#owner)
    return this.#reassertion.rescue(leaseIds)
  }

  /** See `Reassertion.left`. */
  left(leaseId: string, id: string, call?: ScriptCall<unknown>): void {
    this.#reassertion.left(leaseId, id, call)
  }

  /** The call that completes it or makes it fail is about to be sent. */
  settling(leaseId: string, id: string): void {
    this.#reassertion.settling(leaseId, id)
  }

  /** Whoever was about to settle it or to hand it back has not done so. */
  reopened(leaseId: string, id: string): void {
    this.#reassertion.reopened(leaseId, id)
  }

  /** The task is about to get a lease of its own. */
  moving(leaseId: string, id: string, next: Lease): void {
    this.#reassertion.moving(leaseId, id, next)
  }

  /** To be awaited before anything is told to the master about a task in hand: it may not know any more that we have it. */
  async asserted(): Promise<void> {
    this.#reassertion.follow(this.#owner)
    const { pending } = this.#reassertion
    if (pending) await endsWithin(pending, ASSERTED_MS)
  }

  /** Forgets what is too old to be of use. */
  tidy(): void {
    this.#settling.forget()
    this.#reassertion.tidy()
  }

  /** Hands a batch back that nobody takes, as if it had not been fetched. */
  abandon(batch: HandedBatch): void {
    const { lease, tasks } = batch
    if (!this.#reassertion.isEmpty) for (const { id } of tasks) this.#reassertion.left(lease.id, id)
    this.#handingBack.add(batch)
    void this.#handingBack.run()
  }

  /** Hands back what nobody takes, if the partition answers; to be called when it has. */
  handBack(): Promise<void> {
    return this.#handingBack.run()
  }

  /** The same for all there is, as far as the partition answers within `withinMs`. */
  handBackAll(withinMs: number): Promise<void> {
    return this.#handingBack.finish(withinMs)
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
    clearTimeout(this.#admissionTimer)
    this.#handingBack.stop()
    this.#reassertion.stop()
    for (const want of this.#wants.splice(0)) want.resolve(undefined)
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
    if (!this.reachable) for (const want of this.#wants.splice(0)) want.resolve(undefined)
    if (!this.#answers) {
      if (this.#acknowledgements.length > 0) this.#pumpLater()
      return
    }
    // What we hold must be known there before anything is said of it. When it is, this is called again; and before, for what is too old.
    if (this.#reassertion.pending) {
      if (this.#acknowledgements.length > 0) this.#pumpLater()
      return
    }
    if (this.#wants.length > 0 && !this.#admission.isOpenAt(this.#owner)) {
      this.#sending = true
      await this.#enter()
      this.#sending = false
      this.#pumpSoon()
      for (const resolve of this.#drainWaiters.splice(0)) resolve()
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

  get #owner(): Node | undefined {
    return this.host.connection.topology.ownerOf(this.partition.slot)
  }

  /** Asks to be let in; if we are not, whoever wants tasks gets none for now. */
  async #enter(): Promise<void> {
    const fault = await this.#admission.ask()
    if (fault) this.#failLater(fault)
    else if (this.#admission.waitMs === 0) return
    this.#awaitAdmission()
    for (const want of this.#wants.splice(0)) want.resolve(undefined)
  }

  #awaitAdmission(): void {
    const { waitMs } = this.#admission
    clearTimeout(this.#admissionTimer)
    if (waitMs === 0 || this.#stopped) return
    this.#admissionTimer = setTimeout(() => this.host.onReachable(this.partition), waitMs + 1)
  }

  /** Cut between bundles, not through one. */
  #nextAcknowledgements(): Acknowledgement[] {
    const waiting = this.#acknowledgements
    let count = Math.min(BATCH_TASKS, waiting.length)
    while (count > 0 && count < waiting.length) {
      const bundle = waiting[count - 1]?.task.bundle
      if (bundle === undefined || waiting[count]?.task.bundle !== bundle) break
      count++
    }
    return waiting.splice(0, count)
  }

  async #exchange(want: Want | undefined, sent: Acknowledgement[]): Promise<void> {
    const leaseId = want ? this.host.nextLeaseId() : ''
    const groups = groupByLease(sent, this.host.keepResultsMs > 0)
    const askedAtMs = performance.now()
    const leasedAtMs = want ? leaseNow() : 0
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
      if (want) {
        const lease = new Lease(this.partition, leaseId, want.leaseMs, leasedAtMs)
        await this.#handOut(want, { lease, tasks: outcome.value.fetched }, outcome.node)
      }
      void this.#handingBack.run()
      return
    }
    const { fault } = outcome
    this.host.timings.failed(carried, fault)
    if (!isCertain(fault)) {
      for (const acknowledgement of sent) acknowledgement.resent = true
      if (want) this.#handingBack.addUnanswered(leaseId, want.leaseMs)
    }
    this.#putBack(sent)
    want?.resolve(undefined)
    this.#failLater(fault)
  }

  #failLater(fault: Fault): void {
    const lasting = fault.kind === 'rejected' || fault.kind === 'denied'
    this.#resumeAtMs = performance.now() + (lasting ? RETRY_REFUSED_MS : RETRY_MS)
    this.#pumpLater()
    this.host.onFailure(this.partition, fault)
  }

  /**
   * A task with a key may not run twice while its worker lives: it is handed out once a replica knows that it was taken,
   * and else given back. The price is a round trip to the replica. Others are not held up by a replica that is late.
   */
  async #handOut(want: Want, batch: HandedBatch, node: Node): Promise<void> {
    const { lease, tasks } = batch
    const keyed = new Set(tasks.filter(hasKey))
    if (keyed.size === 0) {
      want.resolve({ batch })
      return
    }
    const others = { lease, tasks: tasks.filter((task) => !keyed.has(task)) }
    const rest = this.#confirmed({ lease, tasks: [...keyed] }, node)
    if (others.tasks.length > 0 && !(await endsWithin(rest, TOGETHER_MS))) {
      want.resolve({ batch: others, rest })
      await rest
      return
    }
    const usable = (await rest) ? batch : others
    want.resolve(usable.tasks.length > 0 ? { batch: usable } : undefined)
  }

  /** These tasks with a key, once a replica knows that they were taken; undefined if they went back. */
  async #confirmed(batch: HandedBatch, node: Node): Promise<HandedBatch | undefined> {
    const nowMs = performance.now()
    const known = (await this.host.durability.ofPast(node, this.partition, nowMs)) === 'safe'
    // Restarted since we were let in, it may have given away what somebody else holds.
    const lifeIsSame = this.#admission.covers(node)
    if (known && lifeIsSame) {
      this.#reassertion.add(batch.lease, batch.tasks, node)
      return batch
    }
    this.abandon(batch)
    if (!lifeIsSame) return undefined
    this.#replicaLate = true
    const longestMs = nowMs + batch.lease.lengthMs
    void this.host.durability.ofPast(node, this.partition, longestMs).then(() => {
      this.#replicaLate = false
      this.host.onReachable(this.partition)
    })
    return undefined
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
      const first = settled === 'gone' && acknowledgement.resent && leaseNow() < acknowledgement.oursUntilMs
      if (settled === 'done' || first) done.push(acknowledgement)
      else {
        this.#reassertion.left(acknowledgement.leaseId, acknowledgement.task.id)
        acknowledgement.receiver.refused(new LeaseLostError(acknowledgement.task.id))
      }
    })
    this.#putBack(apart)
    if (done.length > 0) void this.#secure(done, node)
  }

  async #secure(done: readonly Acknowledgement[], node: Node): Promise<void> {
    const wasFull = this.#settling.count + done.length >= MOST_UNCONFIRMED
    const safety = await this.#settling.secure(done, node)
    // What is to be acknowledged once more has to be held again before.
    if (safety !== 'broken' && !this.#reassertion.isEmpty)
      for (const { leaseId, task } of done) this.#reassertion.completed(leaseId, task.id)
    if (wasFull) this.host.onReachable(this.partition)
    for (const resolve of this.#drainWaiters.splice(0)) resolve()
  }

  #dropExpired(): void {
    const nowMs = performance.now()
    if (!this.#acknowledgements.some((one) => one.deadlineMs <= nowMs)) return
    this.#acknowledgements = this.#acknowledgements.filter((one) => {
      if (one.deadlineMs > nowMs) return true
      this.#reassertion.left(one.leaseId, one.task.id)
      const problem = `task ${one.task.id} could not be acknowledged: its shard was out of reach for too long`
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
  withResults: boolean,
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
      tasks: members.map((one) => one.task),
      results: withResults ? members.map((one) => one.result) : [],
      oneByOne: members.some((one) => one.alone),
    },
    members,
  }))
}
