import { Watch } from '../operation/watch.js'

/** Beyond the longest wait for an answer, in ms. By default less in all than another `create` takes to reset nodes and to make a ready cluster of them. */
const LONGEST_PAUSE_MS = 2_000

/** A fence for what has no lock: refuses the next command where the last one was so long ago that the process must have stood still. */
export class StandstillFence {
  #last = new Watch()
  readonly #ended = new AbortController()

  constructor(private readonly timeoutMs: number) {}

  /** Fires when a command was refused, with the reason: who waits and tries again is to end, too. */
  get signal(): AbortSignal {
    return this.#ended.signal
  }

  /** See `LinkOptions`. */
  readonly mayCall = (): void => {
    const pauseMs = this.#last.sinceMs()
    if (pauseMs > LONGEST_PAUSE_MS + this.timeoutMs && !this.signal.aborted)
      this.#ended.abort(
        new Error(
          `this process stood still for ${Math.round(pauseMs / 1000)} s, in which somebody else may have used the servers`,
        ),
      )
    this.signal.throwIfAborted()
    this.#last = new Watch()
  }
}
