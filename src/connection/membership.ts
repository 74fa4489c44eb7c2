import { SLOT_COUNT } from '../keys/slots.js'
import { assignedIn, type NodeView } from './cluster-view.js'

/** Ms after which a node is forgotten that no other lists any more. As long as the cluster bans a node it was told to forget. */
const FORGET_MS = 60_000
/** Ms for which no node of the known cluster may have answered before another one is taken in its place. Longer than a failover. */
export const REPLACE_AFTER_MS = 10_000

/**
 * Which nodes belong to the cluster that we know, by their ids. An address says nothing: where addresses are used again
 * (containers), the one of a node that is gone may be answered by a node of another cluster, whose epochs may be higher.
 *
 * - The first view in which somebody serves a slot makes its nodes known.
 * - A view is believed if it comes from a node that is known. Who is listed in it is known, too.
 * - A node is forgotten when no other has listed it for a minute, in whole views.
 * - When no known node has answered for REPLACE_AFTER_MS, and all seeds that answer are of one other cluster, then that one
 *   has taken the place of the one before: it was made anew at the same addresses.
 */
export class Membership {
  /** Id, and when (performance.now()) another node has listed it last. */
  readonly #listedMs = new Map<string, number>()
  #answeredMs = 0
  /** What the seeds that are not of this cluster said of themselves last. */
  readonly #strangers = new Map<string, { readonly id: string; readonly atMs: number }>()

  /** Whether the view is of the known cluster; then who is in it is known from now on. */
  admits(view: readonly NodeView[], nowMs: number): boolean {
    const self = view.find(({ myself }) => myself)
    if (this.#listedMs.size > 0 && !this.#knows(view, self)) return false
    const assigned = assignedIn(view)
    // Who is in no cluster yet, or no more, tells nothing of one.
    if (this.#listedMs.size === 0 && assigned === 0) return true
    this.#answeredMs = nowMs
    this.#strangers.clear()
    for (const { id, myself, introduced } of view)
      if (!introduced && (!myself || !this.#listedMs.has(id))) this.#listedMs.set(id, nowMs)
    if (assigned < SLOT_COUNT) return true
    for (const [id, listedMs] of this.#listedMs)
      if (id !== self?.id && nowMs - listedMs > FORGET_MS) this.#listedMs.delete(id)
    return true
  }

  /**
   * Whether a cluster that was not admitted is there in place of the known one.
   * @param seed that told; undefined if it was none
   * @returns for how long nobody of the known one has answered, ms; undefined: it is not replaced
   */
  replacedBy(view: readonly NodeView[], seed: string | undefined, nowMs: number): number | undefined {
    const self = view.find(({ myself }) => myself)
    if (seed === undefined || !self) return undefined
    this.#strangers.set(seed, { id: self.id, atMs: nowMs })
    const silentMs = nowMs - this.#answeredMs
    if (silentMs < REPLACE_AFTER_MS || assignedIn(view) === 0) return undefined
    const ids = new Set(view.map(({ id }) => id))
    for (const { id, atMs } of this.#strangers.values())
      if (!ids.has(id) && nowMs - atMs < REPLACE_AFTER_MS) return undefined
    return silentMs
  }

  clear(): void {
    this.#listedMs.clear()
    this.#strangers.clear()
  }

  #knows(view: readonly NodeView[], self: NodeView | undefined): boolean {
    return self ? this.#listedMs.has(self.id) : view.some(({ id }) => this.#listedMs.has(id))
  }
}
