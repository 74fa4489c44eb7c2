import { type Connection, sleep } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Fault } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { reassertCall } from '../scripts/reassert.js'
import type { ScriptCall } from '../scripts/script.js'
import { endsWithin } from './ends-within.js'
import type { HandedBatch, Lease } from './lease.js'
import { leaseNow } from './lease-clock.js'
import { RESTORE_MS } from './recent.js'

/** Ms for which a task is remembered that we hold no more: so long a master that is restarted may have forgotten it (settling.ts). */
const REMEMBER_MS = 3_000
/** Ms for which a task is asked for that others may have had before us: so long they are waited for, too (admission.ts). */
const UNCLEAR_MS = 3_000
/** The same for one that is not there: its producer may be about to store it again (recent.ts). */
const ABSENT_MS = RESTORE_MS + 3_000
/** Longest that a heartbeat waits for the master to be told. */
const RESCUE_MS = 3_000
/** Ms before a call is made again that was refused; and for one that has been refused for longer than REMEMBER_MS. */
const RETRY_MS = 50
const RETRY_LATER_MS = 500
/** Ms between two questions for what is awaited, at first and later. */
const ASK_MS = 200
const ASK_LATER_MS = 500
/** Most tasks in one call. */
const TASKS_PER_CALL = 100
/** Most leases that a task is looked for in, but for its own. */
const MOST_OTHERS = 4
/** With so many tasks, those that are over are looked for first; twice as many as are left after that, the next time. */
const LEAST_PRUNED = 256
/** Most calls that are remembered by which tasks have left, and most that are told again at once. */
const MOST_DEPARTURES = 200
const DEPARTURES_AT_ONCE = 50

/**
 * - `open`: somebody works on it
 * - `settling`: it is being completed or has failed, as far as we are concerned
 * - `completed`: that is safe
 * - `left`: it goes back, or is no longer ours. It is asked for no more; its lease is remembered for who has it next here
 */
type State = 'open' | 'settling' | 'completed' | 'left'

interface Held {
  readonly id: string
  lease: Lease
  readonly attemptsUsed: number
  /** Where it may stand as well: leases it had here before, or that a call under way takes it from. */
  others: readonly string[]
  state: State
  /** leaseNow() since when it is completed or left. */
  sinceMs: number
  /** leaseNow() until which its holder says that it works on it, whether or not its lease could be renewed. */
  wantedUntilMs: number
  /** performance.now() until which it is awaited, since the master did not have it, or not clearly; 0 if it is not. */
  awaitedUntilMs: number
}

/** A task that failed or was handed back; a master that has forgotten it has the task in our lease still, whoever works on it now. */
interface Departure {
  /** '': whatever the lease has. */
  readonly id: string
  readonly leaseId: string
  /** Does nothing where the lease does not have the task. */
  readonly call: ScriptCall<unknown>
  readonly sinceMs: number
}

/** What became of leases that a server did not know. */
export interface Rescue {
  /** It knows tasks of ours under them, now that it was told. */
  readonly held: ReadonlySet<string>
  /** Neither held nor lost: their tasks may still come. */
  readonly awaited: ReadonlySet<string>
}

/**
 * The tasks with a key that we have been given by one partition. A master that is killed and restarted before its replica is promoted
 * may have forgotten that it handed them out, and its replica then forgets the same; no confirmation helps against that. So after
 * each break they are asserted once more, before anything else is told to that master, and while nobody takes tasks from it
 * (admission.ts). Price: some bytes for each task with a key in hand, and a call for each 100 of them after a break.
 *
 * What nobody works on any more must not be asserted: it would be taken back into a lease of nobody, and lose an attempt there.
 */
export class Reassertion {
  readonly #held = new Map<string, Held>()
  #departures: Departure[] = []
  /** leaseNow() when a break was noticed after which the master has not been told yet of all that we hold. */
  #brokeAtMs: number | undefined
  #servedBy: { readonly node: Node; readonly generation: number } | undefined
  /** How often it was begun; a later round ends those before it. */
  #rounds = 0
  #pending: Promise<void> | undefined
  #pruneAt = LEAST_PRUNED
  #stopped = false

  constructor(
    private readonly connection: Connection,
    private readonly partition: Partition,
    private readonly onFailure: (fault: Fault) => void,
    /** What waited for `pending` may go on. */
    private readonly onDone: () => void,
  ) {}

  get isEmpty(): boolean {
    return this.#held.size === 0 && this.#departures.length === 0
  }

  /** While it is there, the master does not know yet what we hold. */
  get pending(): Promise<void> | undefined {
    return this.#pending
  }

  add(lease: Lease, tasks: HandedBatch['tasks'], node: Node): void {
    if (this.#held.size >= this.#pruneAt) {
      this.#prune()
      this.#pruneAt = Math.max(LEAST_PRUNED, 2 * this.#held.size)
    }
    this.#servedBy ??= { node, generation: node.generation }
    for (const { id, attemptsUsed } of tasks) {
      const before = this.#held.get(id)
      const others = before ? [before.lease.id, ...before.others].slice(0, MOST_OTHERS) : []
      const times = { sinceMs: 0, wantedUntilMs: 0, awaitedUntilMs: 0 }
      this.#held.set(id, { id, lease, attemptsUsed, others, state: 'open', ...times })
    }
  }

  /** The call that completes or fails it is under way. After a break it has to be held again for that, and no longer. */
  settling(leaseId: string, id: string): void {
    this.#set(leaseId, id, 'settling')
  }

  /** That call was not carried out. */
  reopened(leaseId: string, id: string): void {
    this.#set(leaseId, id, 'open')
  }

  /** It is completed, and that is safe. */
  completed(leaseId: string, id: string): void {
    this.#set(leaseId, id, 'completed')
  }

  /** It is no longer ours, or is about to go back; by this call, if it is to be told again to a master that has forgotten it. */
  left(leaseId: string, id: string, call?: ScriptCall<unknown>): void {
    if (call && this.#held.get(id)?.lease.id === leaseId) this.leaving(leaseId, id, call)
    this.#set(leaseId, id, 'left')
  }

  /** A task with a key goes back by this call, whether or not it was handed out here. `id` '': whatever this lease has. */
  leaving(leaseId: string, id: string, call: ScriptCall<unknown>): void {
    const owner = this.connection.topology.ownerOf(this.partition.slot)
    if (owner) this.#servedBy ??= { node: owner, generation: owner.generation }
    const others = this.#departures.filter((each) => each.leaseId !== leaseId || each.id !== id)
    this.#departures = [...others, { id, leaseId, call, sinceMs: leaseNow() }].slice(-MOST_DEPARTURES)
  }

  /** Forgets what is too old to be of use. */
  tidy(): void {
    const sinceMs = (this.#brokeAtMs ?? leaseNow()) - REMEMBER_MS
    this.#departures = this.#departures.filter((each) => each.sinceMs >= sinceMs)
  }

  /** Who holds these leases renews them now: their tasks are worked on, also if that fails. */
  wanted(leaseIds: readonly string[], leaseMs: number): void {
    if (this.isEmpty) return
    const asked = new Set(leaseIds)
    const untilMs = leaseNow() + leaseMs
    for (const held of this.#held.values()) if (asked.has(held.lease.id)) held.wantedUntilMs = untilMs
  }

  /** A call is about to give it another lease; until it is answered, either may have it. */
  moving(leaseId: string, id: string, next: Lease): void {
    const held = this.#held.get(id)
    if (held?.lease.id !== leaseId) return
    held.others = [...new Set([leaseId, ...held.others])]
      .filter((other) => other !== next.id)
      .slice(0, MOST_OTHERS)
    held.lease = next
  }

  /** The topology has changed. */
  follow(owner: Node | undefined): void {
    if (!this.#servedBy) return
    if (owner?.up && this.#servedBy.node === owner && this.#servedBy.generation === owner.generation) return
    // Until the master has been told, nothing grows too old: one that is up may refuse all calls for a while.
    this.#brokeAtMs ??= leaseNow()
    if (!owner?.up) return
    this.#servedBy = { node: owner, generation: owner.generation }
    this.#prune()
    if (this.isEmpty) {
      this.#brokeAtMs = undefined
      this.#servedBy = undefined
      return
    }
    const pending = this.#run(++this.#rounds).finally(() => {
      if (this.#pending !== pending) return
      this.#pending = undefined
      this.onDone()
    })
    this.#pending = pending
  }

  /**
   * Of leases that the server does not know: under which it knows tasks of ours that are open, when it has been told. Undefined if it
   * could not be told.
   */
  async rescue(leaseIds: readonly string[]): Promise<Rescue | undefined> {
    if (this.#pending && !(await endsWithin(this.#pending, RESCUE_MS))) return undefined
    const asked = new Set(leaseIds)
    const open = [...this.#held.values()].filter(
      ({ state, lease, others }) =>
        state === 'open' && (asked.has(lease.id) || others.some((other) => asked.has(other))),
    )
    const held = new Set<string>()
    const awaited = new Set<string>()
    for (let from = 0; from < open.length; from += TASKS_PER_CALL) {
      const some = open.slice(from, from + TASKS_PER_CALL)
      if ((await this.#assert(some, 'open')) !== 'told') return undefined
      for (const one of some) {
        if (one.state !== 'open') continue
        if (one.awaitedUntilMs > performance.now()) awaited.add(one.lease.id)
        else held.add(one.lease.id)
      }
    }
    return { held, awaited }
  }

  stop(): void {
    this.#stopped = true
    this.#rounds++
    this.#held.clear()
    this.#departures = []
  }

  #set(leaseId: string, id: string, state: State): void {
    const held = this.#held.get(id)
    if (held?.lease.id !== leaseId) return
    held.state = state
    held.sinceMs = leaseNow()
    if (state === 'left') held.awaitedUntilMs = 0
  }

  #isCurrent(round: number): boolean {
    return !this.#stopped && round === this.#rounds
  }

  /** Until the master has heard of all tasks once; those that it does not have are asked for in the background for a while. */
  async #run(round: number): Promise<void> {
    if (!(await this.#tellDepartures(round))) return
    let left = [...this.#held.values()]
    while (left.length > 0) {
      const some = left.slice(0, TASKS_PER_CALL)
      const isTold = await this.#untilTold(round, async () => {
        const answer = await this.#assert(
          some.filter((one) => !this.#isOver(one)),
          'round',
        )
        return answer !== 'failed'
      })
      if (!isTold) return
      left = left.slice(TASKS_PER_CALL)
    }
    this.#brokeAtMs = undefined
    void this.#askForAwaited(round)
  }

  /** First, so that who has such a task now finds it outside of our lease. One that we have again ourselves is looked for there. */
  async #tellDepartures(round: number): Promise<boolean> {
    let left = this.#departures.filter(({ id, leaseId }) => {
      const held = this.#held.get(id)
      return !held || held.lease.id === leaseId
    })
    return this.#untilTold(round, async () => {
      while (left.length > 0) {
        const some = left.slice(0, DEPARTURES_AT_ONCE)
        const told = await Promise.all(some.map((each) => this.#tell(each)))
        const untold = some.filter((_, i) => !told[i])
        left = [...untold, ...left.slice(DEPARTURES_AT_ONCE)]
        if (untold.length > 0) return false
      }
      return true
    })
  }

  async #tell({ call }: Departure): Promise<boolean> {
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (outcome.ok) return true
    this.onFailure(outcome.fault)
    return isLasting(outcome.fault)
  }

  /**
   * Calls it until it returns true: a master that was restarted may refuse all calls for seconds. @returns false when there was another
   * break, after which a new round begins
   */
  async #untilTold(round: number, tell: () => Promise<boolean>): Promise<boolean> {
    for (const beganMs = performance.now(); this.#isCurrent(round); ) {
      if (await tell()) return this.#isCurrent(round)
      // Another round begins when it is up again.
      if (!this.connection.serves(this.partition.slot)) return false
      await sleep(performance.now() - beganMs < REMEMBER_MS ? RETRY_MS : RETRY_LATER_MS)
    }
    return false
  }

  async #askForAwaited(round: number): Promise<void> {
    const beganMs = performance.now()
    for (;;) {
      const nowMs = performance.now()
      await sleep(nowMs - beganMs < UNCLEAR_MS ? ASK_MS : ASK_LATER_MS)
      if (!this.#isCurrent(round)) return
      const awaited = [...this.#held.values()].filter(({ awaitedUntilMs }) => awaitedUntilMs > 0)
      if (awaited.length === 0) return
      for (let from = 0; from < awaited.length && this.#isCurrent(round); from += TASKS_PER_CALL)
        await this.#assert(awaited.slice(from, from + TASKS_PER_CALL), 'awaited')
      // Its holder hears of it from the server, by its next heartbeat or call.
      for (const one of awaited) {
        const isOver = one.awaitedUntilMs <= performance.now() || heldUntilMs(one) < leaseNow()
        if (one.awaitedUntilMs > 0 && isOver && this.#held.get(one.id) === one) this.#held.delete(one.id)
      }
    }
  }

  /** `why`: of a task that is not there, only a round makes one that is awaited; it may have been removed as well. */
  async #assert(
    tasks: readonly Held[],
    why: 'round' | 'awaited' | 'open',
  ): Promise<'told' | 'failed' | 'refused'> {
    const asked = tasks.filter(
      (one) =>
        this.#held.get(one.id) === one && (why === 'open' ? one.state === 'open' : one.state !== 'left'),
    )
    if (asked.length === 0) return 'told'
    const askedAtMs = leaseNow()
    const named = asked.map((one) => {
      const { id, attemptsUsed, lease, others } = one
      return { id, attemptsUsed, leaseId: lease.id, leaseMs: leftMsOf(one, askedAtMs), others }
    })
    const call = reassertCall(this.partition.keys, named)
    const leases = asked.map(({ lease }) => lease)
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (!outcome.ok) {
      this.onFailure(outcome.fault)
      return isLasting(outcome.fault) ? 'refused' : 'failed'
    }
    const nowMs = performance.now()
    outcome.value.forEach((answer, i) => {
      const one = asked[i] as Held
      const lease = leases[i] as Lease
      const over = one.state === 'completed' || one.state === 'left'
      const waits = one.awaitedUntilMs > 0
      switch (answer) {
        case 'held':
          one.awaitedUntilMs = 0
          lease.renewed(askedAtMs + (named[i]?.leaseMs ?? 0))
          return
        case 'unclear':
          if (!over && !waits && why === 'round') one.awaitedUntilMs = nowMs + UNCLEAR_MS
          break
        case 'absent':
          if (!over && !waits && why === 'round') one.awaitedUntilMs = nowMs + ABSENT_MS
          break
        case 'lost':
          one.awaitedUntilMs = 0
      }
      // Else completed, and gone since, as it should be; or lost.
      if (one.awaitedUntilMs > nowMs) return
      if (this.#held.get(one.id) === one) this.#held.delete(one.id)
      if (one.state === 'open') one.state = 'left'
    })
    return 'told'
  }

  /** Forgets what has ended, and what has run out. */
  #prune(): void {
    this.tidy()
    for (const held of this.#held.values()) if (this.#isOver(held)) this.#held.delete(held.id)
  }

  #isOver(held: Held): boolean {
    const nowMs = leaseNow()
    if (hasEnded(held)) return held.sinceMs + REMEMBER_MS < (this.#brokeAtMs ?? nowMs)
    return heldUntilMs(held) < nowMs
  }
}

const hasEnded = ({ state }: Held) => state === 'completed' || state === 'left'

/** It will not pass by itself. */
const isLasting = ({ kind }: Fault) => kind === 'denied' || kind === 'rejected'

/** leaseNow() */
function heldUntilMs({ lease, wantedUntilMs }: Held): number {
  return Math.max(lease.heldUntilMs, wantedUntilMs)
}

/**
 * For how long it is asserted: for what is left of its lease, and no longer. Breaks that come again and again would else keep one for
 * ever that nobody renews. What is only to be settled once more has the time for that.
 */
function leftMsOf(held: Held, nowMs: number): number {
  const leastMs = held.state === 'open' ? 1 : REMEMBER_MS
  return Math.max(leastMs, Math.ceil(heldUntilMs(held) - nowMs))
}
