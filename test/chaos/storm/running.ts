import type { Entry } from '../../../src/ledger/index.js'

const ENDS: ReadonlySet<string> = new Set(['completed', 'refused', 'failed', 'dead', 'released'])

/** What live processes run, or of which they await the completion, by their ledgers as they grow. */
export class Running {
  /** Of each process, by the number of the run: `<token> <attempt>`. */
  readonly #runs = new Map<string, Map<number, string>>()
  readonly #stopped = new Set<string>()

  add(entry: Entry): void {
    if (entry.what === 'stopped') this.#stopped.add(entry.process)
    if (entry.what === 'resumed') this.#stopped.delete(entry.process)
    if (!('run' in entry) || entry.run === undefined) return
    const runs = this.#runs.get(entry.by) ?? new Map<number, string>()
    this.#runs.set(entry.by, runs)
    if (entry.what === 'run') runs.set(entry.run, `${entry.token} ${entry.attempt}`)
    if (ENDS.has(entry.what)) runs.delete(entry.run)
  }

  /** `<process> <token> <attempt>` */
  get all(): string[] {
    return [...this.#runs].flatMap(([by, runs]) =>
      this.#stopped.has(by) ? [] : [...runs.values()].map((name) => `${by} ${name}`),
    )
  }
}
