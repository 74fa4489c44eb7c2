/** Most things of which it is remembered when they were last admitted; beyond it, all are forgotten. */
const MOST_REMEMBERED = 1_000

/** Lets the same thing through once in a while. */
export class RateLimit {
  readonly #lastMs = new Map<string, number>()

  constructor(private readonly everyMs: number) {}

  admits(what: string, nowMs = performance.now()): boolean {
    const lastMs = this.#lastMs.get(what)
    if (lastMs !== undefined && nowMs - lastMs < this.everyMs) return false
    if (this.#lastMs.size >= MOST_REMEMBERED) this.#lastMs.clear()
    this.#lastMs.set(what, nowMs)
    return true
  }
}
