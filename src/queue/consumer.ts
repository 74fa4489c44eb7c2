import { randomBytes } from 'node:crypto'
import type { Connection } from '../connection/connection.js'
import { RateLimit } from '../connection/rate-limit.js'
import type { Fault } from '../connection/replies.js'
import { QueueUnavailableError } from '../errors.js'
import { type Partition, visitingOrder } from '../keys/partitions.js'
import { refusalOf } from '../rights/refusal.js'
import { renewCall } from '../scripts/lease.js'
import type { Outlook } from '../scripts/outlook.js'
import { ConsumerLane, type LaneHost } from './consumer-lane.js'
import type { Durability } from './durability.js'
import type { HandedBatch } from './lease.js'
import { leaseNow, nextStamp } from './lease-clock.js'
import { Maintenance, type MaintenanceHost } from './maintenance.js'
import { Timings } from './timings.js'
import { Unclaimed } from './unclaimed.js'
import { Wakes } from './wakes.js'

/** Longest that the first task waits for all partitions to be looked at, in ms. */
const KNOWN_WITHIN_MS = 1_000
/** Most tasks that are asked of one partition at once. */
const MOST_PER_FETCH = 500
/** Ms for which takes begin with the same partition. */
const TURN_MS = 50
/** Ms after which a take no longer waits for a partition that has not answered it. */
const LATE_MS = 50
const LEVELS = [0, 1, 2] as const
/** Ms between two reports of the same kind of failure of one node. */
const REPORT_MS = 1_000
/** setTimeout takes no more: with more it fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1
const NO_LEASES: ReadonlySet<string> = new Set()

/** What we believe of a partition between two replies. */
interface PartitionState {
  readonly lane: ConsumerLane
  readonly maintenance: Maintenance
  /** Which ready lists may have tasks. Set by wakes, corrected by every reply. */
  readonly levels: [boolean, boolean, boolean]
  /** performance.now() of the last wake for each list: a reply to something sent before it is older news. */
  readonly wokenAtMs: [number, number, number]
  paused: boolean
  /** How it stands has been known since we began to listen. */
  known: boolean
  /** A take has gone on without its answer or a part of it, and none is asked until that has come. */
  late: boolean
  /** At the last reply it had more than it was asked for. */
  rich: boolean
}

export interface TakeOptions {
  readonly count: number
  readonly blockMs: number
  readonly leaseMs: number
  readonly levels: readonly number[]
  /** Take bundles apart to reach `count`. If not, it may be less than there is, which is for less work on both sides. */
  readonly fill: boolean
  readonly signal?: AbortSignal
}

interface Portion {
  readonly state: PartitionState
  readonly count: number
}

/**
 * The way of tasks out of the cluster, over all partitions. Nothing is polled: every reply says how its partition
 * stands, a wake says when an empty list gets a task, and a timer is set to the next task or lease that falls due.
 */
export class Consumer implements LaneHost, MaintenanceHost {
  readonly #id = randomBytes(7).readUIntBE(1, 6).toString(36)
  readonly #states: readonly PartitionState[]
  readonly #order: readonly number[]
  readonly #wakes: Wakes
  readonly #reports = new RateLimit(REPORT_MS)
  readonly timings = new Timings()
  #waiters = new Set<() => void>()
  readonly #unclaimed = new Unclaimed((batch) => this.lane(batch.lease.partition).abandon(batch))
  /** Consumers begin at different partitions. */
  readonly #offset = Math.floor(Math.random() * 1_024)
  #timer: NodeJS.Timeout | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  /** performance.now() after which tasks are handed out although some partition has not been looked at yet. */
  #knownBy = 0
  #started = false
  /** Nothing is handed out any more; what still comes goes back. */
  #closing = false
  #stopped = false
  /** Takes and fetches that have not ended. */
  readonly #underWay = new Set<Promise<unknown>>()
  readonly #onTopology = () => {
    this.#followMasters()
    for (const { lane } of this.#states) lane.wake()
    this.#signal()
  }

  constructor(
    readonly queue: string,
    readonly connection: Connection,
    readonly durability: Durability,
    partitions: readonly Partition[],
    readonly keepResultsMs: number,
    private readonly onError: (error: Error) => void,
  ) {
    this.#order = visitingOrder(partitions.length)
    this.#states = partitions.map((partition) => ({
      lane: new ConsumerLane(partition, this),
      maintenance: new Maintenance(partition, this),
      levels: [false, false, false],
      wokenAtMs: [0, 0, 0],
      paused: false,
      known: false,
      late: false,
      rich: false,
    }))
    this.#wakes = new Wakes(connection, partitions, {
      onWake: (partition, message) => this.#onWake(this.#stateOf(partition), message),
      onListening: (partition) => void this.#stateOf(partition).maintenance.run(),
      onRefused: (partition, fault) => this.#report(partition, fault),
    })
  }

  /** Starts listening; the first consumer call does it. */
  start(): void {
    if (this.#started || this.#closing) return
    this.#started = true
    this.connection.topology.on('change', this.#onTopology)
    this.#followMasters()
    this.#wakes.start()
    const latestMs = performance.now() + KNOWN_WITHIN_MS
    for (const { maintenance } of this.#states) maintenance.by(latestMs)
    this.#knownBy = latestMs
  }

  /** Whether every partition has a master that counts as alive. */
  reachesAll(): boolean {
    return this.#states.every((state) => this.connection.serves(state.lane.partition.slot))
  }

  lane(partition: Partition): ConsumerLane {
    return this.#stateOf(partition).lane
  }

  /**
   * Takes up to `count` tasks, highest priority first over all partitions as far as is known here; resolves as soon
   * as there are any, else with [] after `blockMs` or when `signal` aborts.
   */
  take(options: TakeOptions): Promise<HandedBatch[]> {
    const taking = this.#take(options)
    this.#await(taking)
    return taking
  }

  async #take(options: TakeOptions): Promise<HandedBatch[]> {
    this.start()
    await this.#allKnown()
    const deadlineMs = performance.now() + options.blockMs
    for (;;) {
      const taken = await this.#takeKnown(options)
      const usable = taken.filter((batch) => this.#isUsable(batch))
      if (usable.length > 0) return usable
      // What is on its way to us is waited for, as long as that may take: else a short `blockMs` would never see it.
      const late = this.#states.some((state) => state.late)
      const leftMs = deadlineMs + (late ? this.connection.commandTimeoutMs : 0) - performance.now()
      if (leftMs <= 0 || this.#closing || options.signal?.aborted) return []
      if (!this.#anyReady(options.levels)) await this.#nextSignal(leftMs, options.signal)
    }
  }

  /**
   * A process that stood still meanwhile (SIGSTOP, a suspended machine) may hold tasks that others have by now; and who disconnects
   * could not settle them. They go back, which harms nobody if they are no longer ours.
   */
  #isUsable(batch: HandedBatch): boolean {
    const { lease } = batch
    if (!this.#closing && leaseNow() - lease.askedAtMs < lease.lengthMs) return true
    this.lane(lease.partition).abandon(batch)
    return false
  }

  #await(work: Promise<unknown>): void {
    this.#underWay.add(work)
    const done = () => this.#underWay.delete(work)
    work.then(done, done)
  }

  /** The first task handed out must be the first of all partitions, so all that can be reached are looked at before. */
  async #allKnown(): Promise<void> {
    for (;;) {
      const leftMs = this.#knownBy - performance.now()
      if (leftMs <= 0 || this.#closing) return
      if (this.#states.every((state) => state.known || !state.lane.reachable)) {
        this.#knownBy = 0
        return
      }
      await this.#nextSignal(leftMs, undefined)
    }
  }

  /**
   * Renews leases of one partition; throws while it is out of reach. Returns those that are lost, those that its master does not
   * have and may have again soon (reassertion.ts), and the leaseNow() until which the others hold at least.
   */
  async renew(
    partition: Partition,
    leaseIds: readonly string[],
    leaseMs: number,
  ): Promise<{ lost: ReadonlySet<string>; awaited: ReadonlySet<string>; untilMs: number }> {
    const lane = this.lane(partition)
    lane.wanted(leaseIds, leaseMs)
    const call = renewCall(partition.keys, { leaseIds, leaseMs })
    const untilMs = leaseNow() + leaseMs
    const { value: renewed } = await this.connection.call(this.queue, partition.slot, call, {
      lane: 'consume',
      timeoutMs: leaseMs / 3,
    })
    const unknown = leaseIds.filter((_, i) => !renewed[i])
    const lost = new Set(unknown)
    if (unknown.length === 0) return { lost, awaited: NO_LEASES, untilMs }
    // A master that was restarted may not know them, and we have not told it yet.
    const rescue = await lane.rescue(unknown)
    if (!rescue)
      throw new QueueUnavailableError(this.queue, `partition ${partition.index} could not be told of leases`)
    for (const id of [...rescue.held, ...rescue.awaited]) lost.delete(id)
    return { lost, awaited: rescue.awaited, untilMs }
  }

  /**
   * A lease of ours runs out in so many ms, perhaps sooner than any other: whoever holds it may not renew it. Others hear of that by a
   * wake, and so do we, but that may be lost.
   */
  leaseEnds(partition: Partition, inMs: number): void {
    this.#stateOf(partition).maintenance.leaseEnds(inMs)
  }

  /**
   * Ends takes, gives back what nobody has taken, waits for what is being acknowledged, and stops listening; all of it in
   * `timeoutMs` at most.
   */
  async stop(timeoutMs: number): Promise<void> {
    this.#closing = true
    this.#signal()
    let timer: NodeJS.Timeout | undefined
    await Promise.race([this.#drain(), new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))])
    clearTimeout(timer)
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#unclaimed.stop()
    this.connection.topology.off('change', this.#onTopology)
    this.#wakes.stop()
    for (const state of this.#states) state.lane.stop()
    this.#signal()
  }

  async #drain(): Promise<void> {
    await Promise.all(this.#states.map((state) => state.lane.drained()))
    // A take is over when its fetches are late, and their tasks may still come.
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    this.#unclaimed.handBack()
    await Promise.all(this.#states.map((state) => state.lane.handBackAll(this.connection.commandTimeoutMs)))
    const answering = this.#states.find(({ lane }) => lane.reachable)
    if (answering)
      await this.timings.tell(this.connection, answering.lane.partition, Number.POSITIVE_INFINITY)
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** No other lease has it, here or in a process that was cloned from this one. */
  nextLeaseId(): string {
    return `${this.#id}-${nextStamp().toString(36)}`
  }

  onOutlook(partition: Partition, outlook: Outlook, askedAtMs: number): void {
    const state = this.#stateOf(partition)
    for (const level of LEVELS) {
      state.levels[level] = outlook.levels[level] || state.wokenAtMs[level] >= askedAtMs
    }
    state.paused = outlook.paused
    state.rich = outlook.levels.some(Boolean)
    const ready = state.levels.some(Boolean) && !state.paused
    state.maintenance.heard(outlook, ready)
    // A taker waits only while it knows of nothing within reach, so this wakes nobody for nothing.
    if (ready) this.#signal()
  }

  onLooked(partition: Partition, outlook: Outlook, askedAtMs: number): void {
    const state = this.#stateOf(partition)
    void state.lane.handBack()
    state.lane.tidy()
    void this.timings.tell(this.connection, partition, performance.now())
    this.onOutlook(partition, outlook, askedAtMs)
    if (state.known || !this.#wakes.hears(partition)) return
    state.known = true
    this.#signal()
  }

  onNearer(atMs: number): void {
    if (atMs < this.#timerAtMs) this.#setTimer(atMs)
  }

  onReachable(partition: Partition): void {
    this.#stateOf(partition).maintenance.by(performance.now())
    this.#signal()
  }

  onFailure(partition: Partition, fault: Fault): void {
    // What will not pass by itself must be told: a right that is missing, a key of the wrong type.
    if (fault.kind === 'rejected' || fault.kind === 'denied') this.#report(partition, fault)
    const state = this.#stateOf(partition)
    state.maintenance.failed(fault)
    state.lane.failed(fault)
  }

  #followMasters(): void {
    for (const { lane, maintenance } of this.#states)
      maintenance.followMaster(this.connection.topology.ownerOf(lane.partition.slot))
  }

  #report(partition: Partition, fault: Fault): void {
    const node = this.connection.topology.ownerOf(partition.slot)?.name ?? '?'
    // Each partition, and each call that waits for one, meets the same refusal.
    if (!this.#reports.admits(`${node} ${fault.kind}`)) return
    this.onError(fault.kind === 'denied' ? refusalOf(node, fault.error) : fault.error)
  }

  async #takeKnown(options: {
    readonly count: number
    readonly leaseMs: number
    readonly levels: readonly number[]
    readonly fill: boolean
  }): Promise<HandedBatch[]> {
    const taken: HandedBatch[] = []
    let missing = options.count
    for (const level of options.levels) {
      // What came too late for an earlier take must not pass what is known to be of higher priority.
      taken.push(...this.#unclaimed.take(missing, [level]))
      missing = options.count - countOf(taken)
      while (missing > 0 && !this.#closing) {
        const portions = this.#portions(level, missing)
        if (portions.length === 0) break
        const levels = options.levels.filter((other) => other <= level)
        taken.push(...(await this.#fetch(portions, levels, options, taken.length === 0)))
        missing = options.count - countOf(taken)
        // What is there is worked on while more is fetched. And bundles that there was no room for must not be passed by
        // tasks of lower priority.
        if (taken.length > 0 && !options.fill) return taken
      }
    }
    return taken
  }

  /** What these partitions have, without those that do not answer soon. */
  async #fetch(
    portions: readonly Portion[],
    levels: readonly number[],
    { leaseMs, fill }: { readonly leaseMs: number; readonly fill: boolean },
    first: boolean,
  ): Promise<HandedBatch[]> {
    const fetched: HandedBatch[] = []
    const pending = new Set(portions.map(({ state }) => state))
    let over = false
    const answers = portions.map(async ({ state, count }) => {
      const least = fill ? count : first ? 1 : 0
      const answer = await state.lane.fetch({ count, least, levels, leaseMs })
      if (over) this.#cameLate(state, answer?.batch)
      else {
        pending.delete(state)
        if (answer && answer.batch.tasks.length > 0) fetched.push(answer.batch)
      }
      if (!answer?.rest) return
      state.late = true
      this.#await(answer.rest.then((batch) => this.#cameLate(state, batch)))
    })
    for (const answer of answers) this.#await(answer)
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      Promise.all(answers),
      new Promise((resolve) => (timer = setTimeout(resolve, LATE_MS))),
    ])
    clearTimeout(timer)
    over = true
    for (const state of pending) state.late = true
    return fetched
  }

  /** The next take has it. */
  #cameLate(state: PartitionState, batch: HandedBatch | undefined): void {
    state.late = false
    if (batch && batch.tasks.length > 0) {
      if (this.#closing) state.lane.abandon(batch)
      else this.#unclaimed.add(batch)
    }
    this.#signal()
  }

  /**
   * Whom to ask for `count` tasks of this level, and for how many. A partition that is known to have more than was asked
   * for is asked for many at once, so that calls are few; the others for even shares. Which one comes first changes with
   * time and not with each take, so that what is acknowledged and what is fetched go the same way, in one call.
   */
  #portions(level: number, count: number): Portion[] {
    const found: PartitionState[] = []
    const first = this.#offset + Math.floor(performance.now() / TURN_MS)
    for (let step = 0; step < this.#order.length && found.length < count; step++) {
      const state = this.#states[this.#order[(first + step) % this.#order.length] ?? 0]
      if (state?.levels[level] && this.#canAsk(state)) found.push(state)
    }
    const portions: Portion[] = []
    let left = count
    for (const state of found) {
      if (left === 0) break
      const share = Math.min(left, state.rich ? MOST_PER_FETCH : Math.ceil(count / found.length))
      portions.push({ state, count: share })
      left -= share
    }
    return portions
  }

  #anyReady(levels: readonly number[]): boolean {
    return (
      this.#unclaimed.has(levels) ||
      this.#states.some((state) => this.#canAsk(state) && levels.some((level) => state.levels[level]))
    )
  }

  #canAsk({ late, paused, lane }: PartitionState): boolean {
    return !late && !paused && lane.reachable
  }

  #onWake(state: PartitionState, message: string): void {
    if (message.includes('s')) void state.maintenance.run()
    for (const level of LEVELS) {
      if (!message.includes(String(level))) continue
      state.levels[level] = true
      state.wokenAtMs[level] = performance.now()
    }
    if (message !== 's') this.#signal()
  }

  #setTimer(atMs: number): void {
    clearTimeout(this.#timer)
    this.#timerAtMs = atMs
    if (this.#stopped || atMs === Number.POSITIVE_INFINITY) return
    const inMs = Math.min(Math.max(0, atMs - performance.now()), LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => {
      const nowMs = performance.now()
      for (const { maintenance } of this.#states)
        if (maintenance.nextAtMs <= nowMs + 1) void maintenance.run()
      this.#setTimer(Math.min(...this.#states.map(({ maintenance }) => maintenance.nextAtMs)))
    }, inMs)
  }

  #stateOf(partition: Partition): PartitionState {
    const state = this.#states[partition.index]
    if (!state) throw new Error(`queue ${this.queue} has no partition ${partition.index}`)
    return state
  }

  #signal(): void {
    const waiters = this.#waiters
    this.#waiters = new Set()
    for (const wake of waiters) wake()
  }

  #nextSignal(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(timeoutMs, LONGEST_TIMER_MS))
      signal?.addEventListener('abort', done)
      this.#waiters.add(done)
    })
  }
}

function countOf(batches: readonly HandedBatch[]): number {
  return batches.reduce((sum, { tasks }) => sum + tasks.length, 0)
}
