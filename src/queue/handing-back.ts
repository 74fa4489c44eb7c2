import { type Connection, sleep } from '../connection/connection.js'
import type { Partition } from '../keys/partitions.js'
import { fold } from '../scripts/bundles.js'
import { releaseCall } from '../scripts/lease.js'
import type { ScriptCall } from '../scripts/script.js'
import { type HandedBatch, hasKey } from './lease.js'
import { leaseNow } from './lease-clock.js'

/** Ms for which it is tried to hand back what a fetch has taken whose reply never came: its lease begins when the server runs it. */
const UNANSWERED_MS = 10 * 60_000
/** Ms after which a lease that was not there yet is handed back once more. */
const AGAIN_MS = 1_000
/** Most of what is to be handed back that is remembered for one partition; of more, the oldest are left to run out. */
const MOST_REMEMBERED = 1_000
/** Ms between two tries before the consumer ends. */
const RETRY_MS = 50

interface Unused {
  readonly leaseId: string
  /** Empty: all of the lease, of a fetch whose reply never came. */
  readonly ids: readonly string[]
  /** Those of them that have a key; 'unknown' where the reply never came. */
  readonly keyed: readonly string[] | 'unknown'
  /** leaseNow() until which it is worth trying. */
  readonly untilMs: number
  /** performance.now() before which it is not tried again: the lease was not there, and its fetch may still lie in a socket. */
  readonly againAtMs?: number
}

/**
 * Tasks of one partition that were fetched and that nobody here takes: they go back, as if they had not been fetched, before their
 * lease runs out and uses up an attempt. To hand one back twice does no harm.
 */
export class HandingBack {
  #unused: Unused[] = []
  #underWay: Promise<void> | undefined
  #stopped = false

  constructor(
    private readonly connection: Connection,
    private readonly partition: Partition,
    /** Whether the partition can be asked now. */
    private readonly answers: () => boolean,
    /** They are about to go back, by this call: one task with a key, or '' for whatever the lease has. */
    private readonly onLeaving: (leaseId: string, id: string, call: ScriptCall<unknown>) => void,
  ) {}

  add({ lease, tasks }: HandedBatch): void {
    // One that is over by our clock may run by the server's, if ours was set ahead.
    const untilMs = Math.max(lease.heldUntilMs, leaseNow() + lease.lengthMs)
    const keyed = tasks.filter(hasKey).map(({ id }) => id)
    this.#add({ leaseId: lease.id, ids: fold(tasks), keyed, untilMs })
  }

  /** Whatever this lease has, of a fetch whose reply never came. */
  addUnanswered(leaseId: string, leaseMs: number): void {
    this.#add({ leaseId, ids: [], keyed: 'unknown', untilMs: leaseNow() + Math.max(UNANSWERED_MS, leaseMs) })
  }

  /** Tries all that is due, if the partition answers; to be called when it has. */
  run(): Promise<void> {
    if (this.#unused.length === 0) return this.#underWay ?? Promise.resolve()
    this.#underWay ??= this.#run().finally(() => {
      this.#underWay = undefined
    })
    return this.#underWay
  }

  /** Tries all there is, as far as the partition answers within `withinMs`. */
  async finish(withinMs: number): Promise<void> {
    const untilMs = performance.now() + withinMs
    await this.run()
    const isDue = ({ againAtMs }: Unused) => againAtMs === undefined
    while (this.#unused.some(isDue) && !this.#stopped && performance.now() < untilMs) {
      await sleep(RETRY_MS)
      await this.run()
    }
  }

  stop(): void {
    this.#stopped = true
  }

  #add(unused: Unused): void {
    this.#unused.push(unused)
    if (this.#unused.length > MOST_REMEMBERED) this.#unused.shift()
  }

  async #run(): Promise<void> {
    while (!this.#stopped && this.answers()) {
      const nowMs = performance.now()
      const at = this.#unused.findIndex(({ againAtMs = 0 }) => againAtMs <= nowMs)
      const [unused] = at < 0 ? [] : this.#unused.splice(at, 1)
      if (!unused) return
      if (unused.untilMs <= leaseNow()) continue
      const call = releaseCall(this.partition.keys, unused)
      this.#tellLeaving(unused, call)
      const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
      if (!outcome.ok) {
        // When the partition answers again.
        this.#add(unused)
        return
      }
      const wasNotThere = unused.ids.length === 0 && outcome.value.length === 0
      if (wasNotThere && unused.againAtMs === undefined) this.#add({ ...unused, againAtMs: nowMs + AGAIN_MS })
    }
  }

  #tellLeaving({ leaseId, keyed }: Unused, call: ScriptCall<unknown>): void {
    if (keyed === 'unknown') this.onLeaving(leaseId, '', call)
    else
      for (const id of keyed)
        this.onLeaving(leaseId, id, releaseCall(this.partition.keys, { leaseId, ids: [id] }))
  }
}
