/**
 * How long ago something was. By the monotonic clock or by the wall clock, whichever says more: one stands still in a suspended machine, and the other
 * can be set back.
 */
export class Watch {
  readonly #monotonicMs = performance.now()
  readonly #wallMs = Date.now()

  /** ms since it was made. */
  sinceMs(): number {
    return Math.max(performance.now() - this.#monotonicMs, Date.now() - this.#wallMs)
  }
}
