import type { Run } from './run.js'

/**
 * The runs whose tasks are in our hands. Each knows its place, so that thousands come and go in a second without a hash table
 * that grows and shrinks with them.
 */
export class Runs {
  readonly #runs: Run[] = []

  add(run: Run): void {
    run.place = this.#runs.push(run) - 1
  }

  has(run: Run): boolean {
    return this.#runs[run.place] === run
  }

  /** The last one takes its place. */
  remove(run: Run): void {
    if (!this.has(run)) return
    const last = this.#runs.pop()
    if (!last || last === run) return
    this.#runs[run.place] = last
    last.place = run.place
  }

  /** As they are now; in no order. */
  all(): readonly Run[] {
    return [...this.#runs]
  }
}
