/** A wall clock that is ahead of the running time by more than this has been set, or the machine was suspended. */
const JUMP_MS = 250

/**
 * Time in ms that leases are measured in. The monotonic clock (performance.now) stands still while a machine is suspended, and
 * leases run out meanwhile; the wall clock (Date.now) goes on, but may be set. So this clock is the monotonic one, plus all that
 * the wall clock has jumped ahead. It never goes back. A wall clock that was set ahead makes leases look older than they are:
 * then what was just fetched is given back unused, and no more.
 */
export class LeaseClock {
  #addedMs = 0
  #offsetMs: number

  constructor(
    private readonly monotonic: () => number = () => performance.now(),
    private readonly wall: () => number = () => Date.now(),
  ) {
    this.#offsetMs = wall() - monotonic()
  }

  now(): number {
    const runningMs = this.monotonic()
    const offsetMs = this.wall() - runningMs
    const jumpedMs = offsetMs - this.#offsetMs
    if (jumpedMs > JUMP_MS) this.#addedMs += jumpedMs
    // Small differences are corrections of the wall clock: it is slewed, and both are read one after the other.
    if (Math.abs(jumpedMs) > JUMP_MS) this.#offsetMs = offsetMs
    return runningMs + this.#addedMs
  }
}

const clock = new LeaseClock()

/** Ms that have passed in this process and on its machine, also while that was suspended. */
export function leaseNow(): number {
  return clock.now()
}

let lastStamp = 0

/**
 * A number that grows with each call and begins at the wall clock. Two processes that are clones of each other, as of a machine that
 * was resumed twice, have the same random numbers and counters; what the clock says when they go on differs.
 */
export function nextStamp(wallMs: number = Date.now()): number {
  lastStamp = Math.max(lastStamp + 1, wallMs * 1_000)
  return lastStamp
}
