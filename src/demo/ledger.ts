/** What became of every task. Times are milliseconds on one monotonic clock. */
export interface LedgerSummary {
  /** Tasks whose `enqueue` returned an id. */
  readonly enqueued: number
  /** Of those, how many were run to the end at least once. */
  readonly completed: number
  /** Acknowledged, but never run to the end. */
  readonly lost: readonly string[]
  /** Tasks that were run to the end more than once, which at-least-once delivery allows. */
  readonly deliveredTwice: number
  /** Tasks that ran although their `enqueue` was rejected: stored, but not confirmed in time. */
  readonly unacknowledged: number
  /** Calls of `enqueue` that were rejected and made again. */
  readonly rejected: number
  /** Longest wait for one `enqueue`. */
  readonly longestEnqueueMs: number
  /** Longest time in which callers were waiting for an `enqueue` and not one of them was acknowledged. */
  readonly longestGapMs: number
  /** Nothing lost and nothing left over. */
  readonly balanced: boolean
}

/**
 * Counts by task id, on the side of the user of the queue: it knows what the queue said and what the workers
 * did, and nothing of what the queue believes.
 */
export class Ledger {
  readonly #acknowledged = new Set<string>()
  /** Finished runs of each id. A worker's report may come in before the producer's acknowledgement. */
  readonly #runs = new Map<string, number>()
  #completed = 0
  #rejected = 0
  #longestEnqueueMs = 0
  #longestGapMs = 0
  #waiting = 0
  /** Since when somebody has been waiting and nobody was acknowledged. */
  #gapSinceMs = 0

  get enqueued(): number {
    return this.#acknowledged.size
  }

  get completed(): number {
    return this.#completed
  }

  get longestEnqueueMs(): number {
    return this.#longestEnqueueMs
  }

  /** A caller has a task to enqueue, and waits from now until `acknowledge`. */
  want(atMs: number): void {
    if (this.#waiting++ === 0) this.#gapSinceMs = atMs
  }

  acknowledge(id: string, { calledMs, atMs }: { calledMs: number; atMs: number }): void {
    if (!this.#acknowledged.has(id) && this.#runs.has(id)) this.#completed++
    this.#acknowledged.add(id)
    this.#longestEnqueueMs = Math.max(this.#longestEnqueueMs, atMs - calledMs)
    this.#longestGapMs = Math.max(this.#longestGapMs, atMs - this.#gapSinceMs)
    this.#gapSinceMs = atMs
    this.#waiting--
  }

  /** The call failed; the caller goes on waiting and calls again. */
  reject({ calledMs, atMs }: { calledMs: number; atMs: number }): void {
    this.#rejected++
    this.#longestEnqueueMs = Math.max(this.#longestEnqueueMs, atMs - calledMs)
  }

  /** A worker ran the task to the end. */
  complete(id: string): void {
    const runs = this.#runs.get(id) ?? 0
    this.#runs.set(id, runs + 1)
    if (runs === 0 && this.#acknowledged.has(id)) this.#completed++
  }

  /** @param leftInQueue tasks that the queue itself still holds, in whatever state */
  summary(leftInQueue: number): LedgerSummary {
    const lost = [...this.#acknowledged].filter((id) => !this.#runs.has(id))
    return {
      enqueued: this.enqueued,
      completed: this.#completed,
      lost,
      deliveredTwice: [...this.#runs.values()].filter((runs) => runs > 1).length,
      unacknowledged: [...this.#runs.keys()].filter((id) => !this.#acknowledged.has(id)).length,
      rejected: this.#rejected,
      longestEnqueueMs: this.#longestEnqueueMs,
      longestGapMs: this.#longestGapMs,
      balanced: lost.length === 0 && this.#completed === this.enqueued && leftInQueue === 0,
    }
  }
}
