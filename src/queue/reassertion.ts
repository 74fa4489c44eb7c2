import { type Connection, sleep } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Fault } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { type Reasserted, reassertCall } from '../scripts/reassert.js'
import type { HandedBatch, Lease } from './lease.js'
import { leaseNow } from './lease-clock.js'

/** Ms for which a task is remembered that was completed: so long a master that is restarted may have forgotten it (settling.ts). */
const REMEMBER_MS = 3_000
/** Ms for which a task is asked for that is not there: its producer may be about to store it again (recent.ts). */
const ABSENT_MS = 3_000
/** Ms between two rounds. */
const RETRY_MS = 50
const ABSENT_RETRY_MS = 200
/** Most tasks in one call. */
const TASKS_PER_CALL = 500
/** With so many leases, those that are over are looked for first; twice as many as are left after that, the next time. */
const LEAST_PRUNED = 64

interface Held {
  readonly attemptsUsed: number
  /** leaseNow() from when on nobody works on it any more; undefined while somebody does. */
  endedAtMs: number | undefined
}

interface HeldLease {
  readonly lease: Lease
  readonly tasks: Map<string, Held>
}

/**
 * The tasks with a key that we have been given by one partition. A master that is killed and restarted before its replica is promoted
 * may have forgotten that it handed them out, and its replica then forgets the same; no confirmation helps against that. So after
 * each break they are asserted once more, before anything else is told to that master, and while nobody takes tasks from it
 * (admission.ts). Price: some bytes for each task with a key in hand, and a call for each lease after a break.
 */
export class Reassertion {
  readonly #leases = new Map<string, HeldLease>()
  #servedBy: { readonly node: Node; readonly generation: number } | undefined
  /** How often it was begun; a later round ends those before it. */
  #rounds = 0
  #pending: Promise<void> | undefined
  #pruneAt = LEAST_PRUNED
  #stopped = false
  /** Tasks that were not there when they were last asked for. */
  readonly #absent = new WeakMap<HeldLease, string[]>()

  constructor(
    private readonly connection: Connection,
    private readonly partition: Partition,
    private readonly onFailure: (fault: Fault) => void,
    /** What waited for `pending` may go on. */
    private readonly onDone: () => void,
  ) {}

  get isEmpty(): boolean {
    return this.#leases.size === 0
  }

  /** While it is there, the master does not know yet what we hold. */
  get pending(): Promise<void> | undefined {
    return this.#pending
  }

  add({ lease }: HandedBatch, tasks: HandedBatch['tasks'], node: Node): void {
    if (this.#leases.size >= this.#pruneAt) {
      this.#prune()
      this.#pruneAt = Math.max(LEAST_PRUNED, 2 * this.#leases.size)
    }
    this.#servedBy ??= { node, generation: node.generation }
    const held = new Map(tasks.map(({ id, attemptsUsed }) => [id, { attemptsUsed, endedAtMs: undefined }]))
    this.#leases.set(lease.id, { lease, tasks: held })
  }

  /** It is completed, and that is safe. */
  completed(leaseId: string, id: string): void {
    const held = this.#leases.get(leaseId)?.tasks.get(id)
    if (held) held.endedAtMs = leaseNow()
  }

  /** It is no longer ours. */
  drop(leaseId: string, id: string): void {
    const held = this.#leases.get(leaseId)
    if (held?.tasks.delete(id) && held.tasks.size === 0) this.#leases.delete(leaseId)
  }

  /** It has another lease now. */
  moved(leaseId: string, id: string, next: Lease): void {
    const held = this.#leases.get(leaseId)?.tasks.get(id)
    if (!held) return
    this.drop(leaseId, id)
    this.#leases.set(next.id, { lease: next, tasks: new Map([[id, held]]) })
  }

  /** The topology has changed. */
  follow(owner: Node | undefined): void {
    if (!this.#servedBy || !owner?.up) return
    if (this.#servedBy.node === owner && this.#servedBy.generation === owner.generation) return
    this.#servedBy = { node: owner, generation: owner.generation }
    this.#prune()
    if (this.#leases.size === 0) {
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

  /** Of leases that the server does not know: those under which it knows tasks of ours again, when it has been told. */
  async rescue(leaseIds: readonly string[]): Promise<ReadonlySet<string>> {
    const rescued = new Set<string>()
    await this.#pending
    for (const leaseId of leaseIds) {
      const held = this.#leases.get(leaseId)
      const ids = [...(held?.tasks ?? [])].flatMap(([id, { endedAtMs }]) =>
        endedAtMs === undefined ? [id] : [],
      )
      if (held && ids.length > 0 && (await this.#assert(held, ids)) === 'held') rescued.add(leaseId)
    }
    return rescued
  }

  stop(): void {
    this.#stopped = true
    this.#rounds++
    this.#leases.clear()
  }

  /** Until the master has heard of all leases once; tasks that are not there are asked for in the background for a while. */
  async #run(round: number): Promise<void> {
    const open = new Map([...this.#leases].map(([id, held]) => [id, [...held.tasks.keys()]]))
    while (open.size > 0 && !this.#stopped && round === this.#rounds) {
      let failed = false
      for (const [leaseId, ids] of open) {
        const held = this.#leases.get(leaseId)
        const answer = held ? await this.#assert(held, ids) : 'lost'
        if (answer === 'refused') return
        if (answer === 'failed') failed = true
        else open.delete(leaseId)
      }
      if (!failed) break
      // Another round begins when it is up again.
      if (!this.connection.serves(this.partition.slot)) return
      await sleep(RETRY_MS)
      this.#prune()
    }
    void this.#askForAbsent(round)
  }

  async #askForAbsent(round: number): Promise<void> {
    const untilMs = performance.now() + ABSENT_MS
    while (!this.#stopped && round === this.#rounds && performance.now() < untilMs) {
      const absent = [...this.#leases.values()].filter((held) => this.#absent.has(held))
      if (absent.length === 0) return
      await sleep(ABSENT_RETRY_MS)
      for (const held of absent)
        if (round === this.#rounds) await this.#assert(held, this.#absent.get(held) ?? [])
    }
    if (round !== this.#rounds) return
    for (const held of this.#leases.values())
      for (const id of this.#absent.get(held) ?? []) this.drop(held.lease.id, id)
  }

  async #assert(held: HeldLease, ids: readonly string[]): Promise<'held' | 'lost' | 'failed' | 'refused'> {
    const { lease, tasks } = held
    const asked = ids.flatMap((id) => {
      const attemptsUsed = tasks.get(id)?.attemptsUsed
      return attemptsUsed === undefined ? [] : [{ id, attemptsUsed }]
    })
    let any = false
    const absent: string[] = []
    for (let from = 0; from < asked.length; from += TASKS_PER_CALL) {
      const some = asked.slice(from, from + TASKS_PER_CALL)
      const input = { leaseId: lease.id, leaseMs: lease.lengthMs, tasks: some }
      const untilMs = leaseNow() + lease.lengthMs
      const call = reassertCall(this.partition.keys, input)
      const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
      if (!outcome.ok) {
        this.onFailure(outcome.fault)
        const { kind } = outcome.fault
        return kind === 'denied' || kind === 'rejected' ? 'refused' : 'failed'
      }
      outcome.value.forEach((answer: Reasserted, i) => {
        const { id } = some[i] as (typeof some)[number]
        if (answer === 'held') any = true
        if (answer === 'absent') absent.push(id)
        // Completed, and gone since: as it should be.
        if (answer === 'lost' || (answer === 'absent' && tasks.get(id)?.endedAtMs !== undefined))
          this.drop(lease.id, id)
      })
      if (any) lease.renewed(untilMs)
    }
    this.#absent.set(
      held,
      absent.filter((id) => tasks.has(id)),
    )
    return any ? 'held' : 'lost'
  }

  /** Forgets what has ended, and leases that have run out. */
  #prune(): void {
    const nowMs = leaseNow()
    for (const { lease, tasks } of this.#leases.values()) {
      for (const [id, { endedAtMs }] of tasks) {
        const over = endedAtMs === undefined ? lease.heldUntilMs < nowMs : endedAtMs + REMEMBER_MS < nowMs
        if (over) tasks.delete(id)
      }
      if (tasks.size === 0) this.#leases.delete(lease.id)
    }
  }
}
