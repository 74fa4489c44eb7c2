import type { Entry } from '../../../src/ledger/index.js'

const ENDS: ReadonlySet<string> = new Set(['completed', 'refused', 'failed', 'dead', 'released'])

/** What live processes run, or of which they await the completion, by their ledgers as they grow. */
export class Running {
  /** Of each process: `<token> <attempt>`, and how often that goes on. */
  readonly #runs = new Map<string, Map<string, number>>()
  readonly #stopped = new Set<string>()

  add(entry: Entry): void {
    if (entry.what === 'stopped') this.#stopped.add(entry.process)
    if (entry.what === 'resumed') this.#stopped.delete(entry.process)
    const change = entry.what === 'run' ? 1 : ENDS.has(entry.what) ? -1 : 0
    if (change === 0 || !('attempt' in entry)) return
    const runs = this.#runs.get(entry.by) ?? new Map<string, number>()
    this.#runs.set(entry.by, runs)
    const name = `${entry.token} ${entry.attempt}`
    const count = (runs.get(name) ?? 0) + change
    if (count === 0) runs.delete(name)
    else runs.set(name, count)
  }

  /** `<process> <token> <attempt>` */
  get all(): string[] {
    return [...this.#runs].flatMap(([by, names]) =>
      this.#stopped.has(by)
        ? []
        : [...names].flatMap(([name, count]) => (count > 0 ? [`${by} ${name}`] : [])),
    )
  }
}
