import { createLogUpdate } from 'log-update'
import { cutLine } from './cut.js'
import type { Output } from './output.js'

/** Into a file or a pipe, a line is written so seldom. */
const QUIET_MS = 2_000
/** And a terminal is drawn over not oftener than this. */
const DRAWN_MS = 50

/** Progress of something long: on a terminal one line that is drawn over, elsewhere a line now and then. */
export class Ticker {
  readonly #screen: ReturnType<typeof createLogUpdate> | undefined
  #atMs = Number.NEGATIVE_INFINITY

  constructor(private readonly output: Output) {
    this.#screen = output.json || process.stdout.isTTY !== true ? undefined : createLogUpdate(process.stdout)
  }

  /** @param last it is not to be left out */
  show(line: string, last = false): void {
    const now = performance.now()
    if (!last && now - this.#atMs < (this.#screen ? DRAWN_MS : QUIET_MS)) return
    this.#atMs = now
    if (this.#screen) this.#screen(cutLine(line, process.stdout.columns ?? 80))
    else this.output.line(line)
  }

  /** What was shown last stays; others may write again. */
  done(): void {
    this.#screen?.done()
  }
}
