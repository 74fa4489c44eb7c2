import { createLogUpdate } from 'log-update'
import { cutLine } from './cut.js'
import type { Output } from './output.js'

/** A terminal is drawn over not oftener than this. */
const DRAWN_MS = 50
/** Into a file or a pipe, a line is written so seldom. */
const QUIET_MS = 2_000

/** Progress of something long: on a terminal one line that is drawn over. */
export class ProgressLine {
  readonly #screen: ReturnType<typeof createLogUpdate> | undefined
  #atMs = Number.NEGATIVE_INFINITY

  /** @param elsewhere whether a line is written now and then where there is no terminal. Default false: only what is final */
  constructor(
    private readonly output: Output,
    private readonly elsewhere = false,
  ) {
    if (!output.json && process.stdout.isTTY) this.#screen = createLogUpdate(process.stdout)
  }

  /** @param last it is not to be left out */
  show(text: string, last = false): void {
    if (!this.#screen && !this.elsewhere) return
    const now = performance.now()
    if (!last && now - this.#atMs < (this.#screen ? DRAWN_MS : QUIET_MS)) return
    this.#atMs = now
    if (this.#screen) this.#screen(cutLine(this.output.shown(text), process.stdout.columns ?? 80))
    else this.output.line(text)
  }

  /** A line that stays, in place of what was shown last. */
  done(text: string): void {
    this.clear()
    this.output.line(text)
  }

  /** What was shown last stays; others may write again. */
  keep(): void {
    this.#screen?.done()
  }

  clear(): void {
    this.#screen?.clear()
    this.keep()
  }
}
