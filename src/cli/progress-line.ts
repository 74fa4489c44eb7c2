import { createLogUpdate } from 'log-update'
import { cutLine } from './cut.js'
import type { Output } from './output.js'

/** A line that is drawn over while something goes on, on a terminal; elsewhere only what is final is printed. */
export class ProgressLine {
  readonly #update: ReturnType<typeof createLogUpdate> | undefined

  constructor(private readonly output: Output) {
    if (!output.json && process.stdout.isTTY) this.#update = createLogUpdate(process.stdout)
  }

  /** Until the next of them, or `done`. */
  show(text: string): void {
    this.#update?.(cutLine(text, process.stdout.columns ?? 80))
  }

  /** A line that stays. */
  done(text: string): void {
    this.clear()
    this.output.line(text)
  }

  clear(): void {
    this.#update?.clear()
    this.#update?.done()
  }
}
