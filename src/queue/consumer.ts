import { randomBytes } from 'node:crypto'
import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { RateLimit } from '../connection/rate-limit.js'
import type { Fault } from '../connection/replies.js'
import { type Partition, visitingOrder } from '../keys/partitions.js'
import { refusalOf } from '../rights/refusal.js'
import { renewCall } from '../scripts/lease.js'
import type { Outlook } from '../scripts/outlook.js'
import { recoverCall, tendCall } from '../scripts/tend.js'
import { ConsumerLane, type LaneHost } from './consumer-lane.js'
import type { Durability } from './durability.js'
import type { HandedBatch } from './lease.js'
import { Timings } from './timings.js'
import { Unclaimed } from './unclaimed.js'
import { Wakes } from './wakes.js'

/** Ms until a partition is looked at although nothing called for it: what a lost wake costs at most. */
const LOOK_IDLE_MS = 15_000
/** The same while it has tasks that nobody here has room for, whose new leases we would not hear of. */
const LOOK_BUSY_MS = 1_500
/** Longest that the first task waits for all partitions to be looked at, in ms. */
const KNOWN_WITHIN_MS = 1_000
/**
 * Ms after a change of master, or while a partition is moved, in which no lease is taken for run out: it may have done so while
 * nobody could renew it.
 * Holders that live renew it within this time.
 */
const RENEW_AGAIN_MS = 2_000
/** Most tasks that are asked of one partition at once. */
const MOST_PER_FETCH = 500
/** Ms for which takes begin with the same partition. */
const TURN_MS = 50
/** Ms after which a take no longer waits for a partition that has not answered it. */
const LATE_MS = 50
/** Up to so many ms are added to a look at a lease that runs out, so that not every worker comes at once. */
const LEASE_JITTER_MS = 100
const LEVELS = [0, 1, 2] as const
/** Ms between two reports of the same kind of failure of one node. */
const REPORT_MS = 1_000
/** setTimeout takes no more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** What we believe of a partition between two replies. */
interface PartitionState {
  readonly lane: ConsumerLane
  /** Which ready lists may have tasks. Set by wakes, corrected by every reply. */
  readonly levels: [boolean, boolean, boolean]
  /** performance.now() of the last wake for each list: a reply to something sent before it is older news. */
  readonly wokenAtMs: [number, number, number]
  paused: boolean
  lookAtMs: number
  /** How it stands has been known since we began to listen. */
  known: boolean
  looking: boolean
  /** A take has gone on without its answer, and none is asked until it has come. */
  late: boolean
  /** At the last reply it had more than it was asked for. */
  rich: boolean
  /** Who served it last, in which of its lives, and from when on leases may run out there (performance.now()). */
  servedBy: { readonly node: Node; readonly generation: number } | undefined
  leasesCountFromMs: number
  /** Something was scheduled while a look was under way. */
  lookAgain: boolean
}

interface Portion {
  readonly state: PartitionState
  readonly count: number
}

/**
 * The way of tasks out of the cluster, over all partitions. Nothing is polled: every reply says how its partition
 * stands, a wake says when an empty list gets a task, and a timer is set to the next task or lease that falls due.
 */
export class Consumer implements LaneHost {
  readonly #id = randomBytes(7).readUIntBE(1, 6).toString(36)
  readonly #states: readonly PartitionState[]
  readonly #order: readonly number[]
  readonly #wakes: Wakes
  readonly #reports = new RateLimit(REPORT_MS)
  readonly timings = new Timings()
  #waiters = new Set<() => void>()
  readonly #unclaimed = new Unclaimed((batch) => this.lane(batch.lease.partition).abandon(batch))
  #leaseSequence = 0
  /** Consumers begin at different partitions. */
  readonly #offset = Math.floor(Math.random() * 1_024)
  #timer: NodeJS.Timeout | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  /** performance.now() after which tasks are handed out although some partition has not been looked at yet. */
  #knownBy = 0
  #started = false
  #stopped = false
  readonly #onTopology = () => {
    for (const state of this.#states) {
      this.#noteMaster(state)
      state.lane.wake()
    }
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
      levels: [false, false, false],
      wokenAtMs: [0, 0, 0],
      paused: false,
      lookAtMs: Number.POSITIVE_INFINITY,
      known: false,
      looking: false,
      late: false,
      rich: false,
      servedBy: undefined,
      leasesCountFromMs: 0,
      lookAgain: false,
    }))
    this.#wakes = new Wakes(connection, partitions, {
      onWake: (partition, message) => this.#onWake(this.#stateOf(partition), message),
      onListening: (partition) => void this.#look(this.#stateOf(partition)),
      onRefused: (partition, fault) => this.#report(partition, fault),
    })
  }

  /** Starts listening; the first consumer call does it. */
  start(): void {
    if (this.#started || this.#stopped) return
    this.#started = true
    this.connection.topology.on('change', this.#onTopology)
    for (const state of this.#states) this.#noteMaster(state)
    this.#wakes.start()
    const latestMs = performance.now() + KNOWN_WITHIN_MS
    for (const state of this.#states) this.#lookAt(state, latestMs)
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
  async take(options: {
    readonly count: number
    readonly blockMs: number
    readonly leaseMs: number
    readonly levels: readonly number[]
    /** Take bundles apart to reach `count`. If not, it may be less than there is, which is for less work on both sides. */
    readonly fill: boolean
    readonly signal?: AbortSignal
  }): Promise<HandedBatch[]> {
    this.start()
    await this.#allKnown()
    const deadlineMs = performance.now() + options.blockMs
    for (;;) {
      const taken = await this.#takeKnown(options)
      // A process that stood still meanwhile (SIGSTOP, a suspended machine) may hold tasks that others have by now.
      const nowMs = performance.now()
      const fresh = taken.filter(({ lease }) => nowMs - lease.askedAtMs < lease.lengthMs)
      if (fresh.length > 0) return fresh
      // What is on its way to us is waited for, as long as that may take: else a short `blockMs` would never see it.
      const late = this.#states.some((state) => state.late)
      const leftMs = Math.max(deadlineMs - nowMs, late ? this.connection.commandTimeoutMs : 0)
      if (leftMs <= 0 || this.#stopped || options.signal?.aborted) return []
      if (!this.#anyReady(options.levels)) await this.#nextSignal(leftMs, options.signal)
    }
  }

  /** The first task handed out must be the first of all partitions, so all that can be reached are looked at before. */
  async #allKnown(): Promise<void> {
    for (;;) {
      const leftMs = this.#knownBy - performance.now()
      if (leftMs <= 0 || this.#stopped) return
      if (this.#states.every((state) => state.known || !state.lane.reachable)) {
        this.#knownBy = 0
        return
      }
      await this.#nextSignal(leftMs, undefined)
    }
  }

  /**
   * Renews leases of one partition; throws while it is out of reach. Returns those that are lost, and the
   * performance.now() until which the others hold at least.
   */
  async renew(
    partition: Partition,
    leaseIds: readonly string[],
    leaseMs: number,
  ): Promise<{ lost: ReadonlySet<string>; untilMs: number }> {
    const call = renewCall(partition.keys, { leaseIds, leaseMs })
    const untilMs = performance.now() + leaseMs
    const { value: renewed } = await this.connection.call(this.queue, partition.slot, call, {
      lane: 'consume',
      timeoutMs: leaseMs / 3,
    })
    return { lost: new Set(leaseIds.filter((_, i) => !renewed[i])), untilMs }
  }

  /** Waits for what is being acknowledged, at most `timeoutMs`, and stops listening. */
  async stop(timeoutMs: number): Promise<void> {
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
    this.#unclaimed.giveBack()
    await Promise.all(this.#states.map((state) => state.lane.giveBack()))
    const answering = this.#states.find(({ lane }) => lane.reachable)
    if (answering)
      await this.timings.tell(this.connection, answering.lane.partition, Number.POSITIVE_INFINITY)
  }

  nextLeaseId(): string {
    return `${this.#id}-${(this.#leaseSequence++).toString(36)}`
  }

  onOutlook(partition: Partition, outlook: Outlook, askedAtMs: number): void {
    const state = this.#stateOf(partition)
    for (const level of LEVELS) {
      state.levels[level] = outlook.levels[level] || state.wokenAtMs[level] >= askedAtMs
    }
    state.paused = outlook.paused
    const nowMs = performance.now()
    state.rich = outlook.levels.some(Boolean)
    const ready = state.levels.some(Boolean) && !state.paused
    const dueInMs = Math.min(
      ready ? LOOK_BUSY_MS : LOOK_IDLE_MS,
      outlook.scheduledInMs ?? Number.POSITIVE_INFINITY,
      outlook.leaseInMs === undefined
        ? Number.POSITIVE_INFINITY
        : outlook.leaseInMs + 5 + Math.random() * LEASE_JITTER_MS,
    )
    this.#lookAt(state, nowMs + dueInMs)
    // A taker waits only while it knows of nothing within reach, so this wakes nobody for nothing.
    if (ready) this.#signal()
  }

  onReachable(partition: Partition): void {
    this.#lookAt(this.#stateOf(partition), performance.now())
    this.#signal()
  }

  onFailure(partition: Partition, fault: Fault): void {
    // What will not pass by itself must be told: a right that is missing, a key of the wrong type.
    const lasting = fault.kind === 'rejected' || fault.kind === 'denied'
    if (lasting) this.#report(partition, fault)
    const state = this.#stateOf(partition)
    // While it is being moved nobody can renew either, and its master may even stay the same.
    if (fault.kind === 'tryagain') state.leasesCountFromMs = performance.now() + RENEW_AGAIN_MS
    this.#lookAt(state, performance.now() + (lasting ? LOOK_BUSY_MS : 100))
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
    const taken = this.#unclaimed.take(options.count, options.levels)
    let missing = options.count - countOf(taken)
    for (const level of options.levels) {
      while (missing > 0 && !this.#stopped) {
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
      const batch = await state.lane.fetch({ count, least, levels, leaseMs })
      if (!over) {
        pending.delete(state)
        if (batch && batch.tasks.length > 0) fetched.push(batch)
        return
      }
      state.late = false
      if (batch) this.#unclaimed.add(batch)
      this.#signal()
    })
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
    if (message.includes('s')) void this.#look(state)
    for (const level of LEVELS) {
      if (!message.includes(String(level))) continue
      state.levels[level] = true
      state.wokenAtMs[level] = performance.now()
    }
    if (message !== 's') this.#signal()
  }

  /** Asks a partition how it stands, and has it move what is due. */
  async #look(state: PartitionState): Promise<void> {
    if (this.#stopped) return
    if (state.looking) {
      state.lookAgain = true
      state.lookAtMs = Number.POSITIVE_INFINITY
      return
    }
    const { partition } = state.lane
    const askedAtMs = performance.now()
    state.looking = true
    state.lookAgain = false
    this.#lookAt(state, performance.now() + LOOK_IDLE_MS)
    const outcome = await this.connection.attempt(partition.slot, tendCall(partition.keys), {
      lane: 'consume',
    })
    state.looking = false
    if (this.#stopped) return
    if (!outcome.ok) {
      this.onFailure(partition, outcome.fault)
      return
    }
    // It may have moved, and we be the first to find out.
    this.#noteServer(state, outcome.node)
    void state.lane.giveBack()
    void this.timings.tell(this.connection, partition, performance.now())
    this.onOutlook(partition, outcome.value.outlook, askedAtMs)
    if (!state.known && this.#wakes.hears(partition)) {
      state.known = true
      this.#signal()
    }
    if (state.lookAgain) this.#lookAt(state, performance.now())
    if (outcome.value.expiredLeases.length === 0) return
    if (performance.now() < state.leasesCountFromMs) this.#lookAt(state, state.leasesCountFromMs)
    else for (const leaseId of outcome.value.expiredLeases) await this.#recover(state, leaseId)
  }

  #noteMaster(state: PartitionState): void {
    const owner = this.connection.topology.ownerOf(state.lane.partition.slot)
    if (owner?.up) this.#noteServer(state, owner)
  }

  #noteServer(state: PartitionState, node: Node): void {
    const { servedBy } = state
    if (servedBy?.node === node && servedBy.generation === node.generation) return
    if (servedBy) state.leasesCountFromMs = performance.now() + RENEW_AGAIN_MS
    state.servedBy = { node, generation: node.generation }
  }

  async #recover(state: PartitionState, leaseId: string): Promise<void> {
    const { partition } = state.lane
    for (;;) {
      const call = recoverCall(partition.keys, leaseId)
      const outcome = await this.connection.attempt(partition.slot, call, { lane: 'consume' })
      if (!outcome.ok) {
        this.onFailure(partition, outcome.fault)
        return
      }
      if (outcome.value.kind === 'alive' || outcome.value.left === 0) break
    }
    this.#lookAt(state, performance.now())
  }

  #lookAt(state: PartitionState, atMs: number): void {
    state.lookAtMs = atMs
    if (atMs < this.#timerAtMs) this.#setTimer(atMs)
  }

  #setTimer(atMs: number): void {
    clearTimeout(this.#timer)
    this.#timerAtMs = atMs
    if (this.#stopped || atMs === Number.POSITIVE_INFINITY) return
    const inMs = Math.min(Math.max(0, atMs - performance.now()), LONGEST_TIMER_MS)
    this.#timer = setTimeout(() => {
      const nowMs = performance.now()
      for (const state of this.#states) if (state.lookAtMs <= nowMs + 1) void this.#look(state)
      this.#setTimer(Math.min(...this.#states.map((state) => state.lookAtMs)))
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
