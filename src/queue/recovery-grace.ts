import type { Node } from '../connection/node.js'

/** Ms that holders get to renew a lease which may have run out while nobody could: those that live do it within 50 ms. */
const GRACE_MS = 2_000
/** Longest that one lease which has run out is spared, in ms, however often its master goes away meanwhile. */
const LONGEST_MS = 5_000
/** A server's clock that is ahead of ours by so much more than it was has been set; less is drift. */
const JUMP_MS = 1_000
/**
 * Longest that a lease which ran out by that is spared, in ms: a heartbeat comes every third of a lease, so that this is enough for leases
 * of 3 minutes.
 */
const LONGEST_JUMP_MS = 60_000

interface RunOut {
  /** When it was first seen, and since when its holder could have renewed it (performance.now()). */
  readonly firstMs: number
  sinceMs: number
}

/**
 * Which leases of a partition that have run out may be given to others. After a break with the master, or a time when it refused, each
 * is spared for `GRACE_MS`, since it may have run out while nobody could renew it. A break of sockets alone begins that time anew
 * only for leases that were not seen before: where something closes idle connections again and again, leases must still end. Where the
 * clock of the server was set ahead, nobody has noticed, and leases ran out as much too early: they are spared for as long.
 */
export class RecoveryGrace {
  #servedBy: { readonly node: Node; readonly generation: number } | undefined
  /** The master was down, or there was none. */
  #away = false
  #brokenAtMs = Number.NEGATIVE_INFINITY
  #seen = new Map<string, RunOut>()
  /** By how many ms at most the clock of this node was ahead of performance.now() when it last told. */
  #clock: { readonly node: Node; readonly aheadMs: number } | undefined
  /** performance.now() until which leases are spared, since that clock was set ahead. */
  #tooEarlyUntilMs = Number.NEGATIVE_INFINITY

  /** The topology has changed, or `owner` has answered. */
  follow(owner: Node | undefined, nowMs: number): void {
    const { node, generation } = this.#servedBy ?? {}
    if (!owner?.up) {
      this.#away = node !== undefined
      return
    }
    if (node === owner && generation === owner.generation && !this.#away) return
    this.#servedBy = { node: owner, generation: owner.generation }
    // Who has just come cannot know what was before.
    if (!node) return
    if (this.#away || node !== owner) this.outage(nowMs)
    else this.#brokenAtMs = nowMs
    this.#away = false
  }

  /** Until now nobody could renew: the master was away or refused all calls, another one has taken over, or the slot is being moved. */
  outage(nowMs: number): void {
    this.#brokenAtMs = nowMs
    for (const runOut of this.#seen.values()) runOut.sinceMs = nowMs
  }

  /** A server has told its time, at some moment between our question and its answer. To be called before what it says has run out is judged. */
  told(node: Node, serverMs: number, askedAtMs: number, nowMs: number): void {
    const before = this.#clock
    this.#clock = { node, aheadMs: serverMs - askedAtMs }
    if (before?.node !== node) return
    const jumpMs = serverMs - nowMs - before.aheadMs
    if (jumpMs > JUMP_MS) this.#tooEarlyUntilMs = Math.max(this.#tooEarlyUntilMs, nowMs + jumpMs)
  }

  /** Of all leases that have run out, as far as the server tells: which may be given away now, and when to ask again. */
  judge(leaseIds: readonly string[], nowMs: number): { readonly over: string[]; readonly againAtMs: number } {
    const quietAtMs = this.#brokenAtMs + GRACE_MS
    const over: string[] = []
    let againAtMs = Number.POSITIVE_INFINITY
    const seen = new Map<string, RunOut>()
    for (const id of leaseIds) {
      const runOut = this.#seen.get(id) ?? { firstMs: nowMs, sinceMs: nowMs }
      seen.set(id, runOut)
      const recoveredAtMs = Math.min(quietAtMs, runOut.sinceMs + GRACE_MS, runOut.firstMs + LONGEST_MS)
      const inTimeAtMs = Math.min(this.#tooEarlyUntilMs, runOut.firstMs + LONGEST_JUMP_MS)
      const overAtMs = Math.max(recoveredAtMs, inTimeAtMs)
      if (overAtMs <= nowMs) over.push(id)
      else againAtMs = Math.min(againAtMs, overAtMs)
    }
    this.#seen = seen
    return { over, againAtMs }
  }
}
