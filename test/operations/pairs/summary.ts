import Table from 'cli-table3'
import type { PairResult, RoundResult } from './house.js'
import { outcomeOf } from './refusals.js'

/** What all pairs come to. */
export class Summary {
  readonly #outcomes = new Map<string, Map<string, number>>()
  /** First lines of refusals, without what differs each time, and how often. */
  readonly #words = new Map<string, number>()
  readonly #tasks = { acknowledged: 0, rejected: 0, lost: 0, repeated: 0 }
  readonly #foreign = { acknowledged: 0, unsure: 0, lost: 0, reads: 0 }
  readonly #foreignErrors = new Map<string, number>()
  readonly #broke: string[] = []
  #pairs = 0
  #mended = 0
  #faults = 0

  get pairs(): number {
    return this.#pairs
  }

  get isClean(): boolean {
    return this.#faults === 0 && this.#broke.length === 0
  }

  pair({ pair, endings, mended, faults }: PairResult): void {
    this.#pairs++
    this.#faults += faults.length
    if (mended.length > 0) this.#mended++
    for (const [i, { operation }] of pair.choices.entries()) {
      const ending = endings[i]
      if (!ending) continue
      const outcomes = this.#outcomes.get(operation) ?? new Map<string, number>()
      this.#outcomes.set(operation, outcomes)
      add(outcomes, outcomeOf(ending))
      if (ending.end === 'failed') add(this.#words, `${ending.name}: ${general(ending.message)}`)
    }
  }

  /** After each account. */
  round({ tasks, faults }: RoundResult): void {
    this.#faults += faults.length
    for (const name of ['acknowledged', 'rejected', 'lost', 'repeated'] as const)
      this.#tasks[name] += tasks[name]
  }

  /** After the last account of a cluster: what its application has counted since it began. */
  cluster({ foreign }: RoundResult): void {
    this.#foreign.acknowledged += foreign.acknowledged
    this.#foreign.unsure += foreign.unsure
    this.#foreign.lost += foreign.lost.length
    this.#foreign.reads += foreign.reads
    for (const [text, count] of Object.entries(foreign.errors)) add(this.#foreignErrors, text, count)
  }

  broke(error: Error): void {
    this.#broke.push(String(error.stack))
  }

  text(): string {
    const all = [...this.#outcomes.values()].flatMap((outcomes) => [...outcomes.keys()])
    const names = ['done', ...[...new Set(all)].filter((name) => name !== 'done').sort()]
    const table = new Table({
      head: ['operation', ...names.map((name) => name.replace(/Error$/, ''))],
      colAligns: ['left', ...names.map(() => 'right' as const)],
      style: { head: [], border: [], compact: true },
    })
    for (const [operation, outcomes] of [...this.#outcomes].sort())
      table.push([operation, ...names.map((name) => outcomes.get(name) ?? '')])
    const { acknowledged, rejected, lost, repeated } = this.#tasks
    const { acknowledged: writes, unsure, lost: lostKeys, reads } = this.#foreign
    return [
      ...this.#broke,
      table.toString(),
      ...listed(this.#words),
      `after ${this.#mended} of ${this.#pairs} pairs something had to be mended`,
      `tasks: ${acknowledged} acknowledged, ${lost} lost, ${repeated} run again, ${rejected} rejected`,
      `keys of others: ${writes} writes acknowledged, ${lostKeys} lost, ${unsure} either way, ${reads} looks`,
      ...listed(this.#foreignErrors),
      `${this.#faults + this.#broke.length} faults`,
    ].join('\n')
  }
}

function add(counts: Map<string, number>, name: string, count = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + count)
}

const listed = (counts: ReadonlyMap<string, number>) =>
  [...counts].sort(([, a], [, b]) => b - a).map(([text, count]) => `  ${count} × ${text}`)

/** Without ids, ports and other numbers, so that the same is said the same way. */
function general(message: string): string {
  const lines = message.split('\n').slice(0, 2).join(' ')
  return lines
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
    .replaceAll(/\b[0-9a-f]{40}\b/g, 'ID')
    .replaceAll(/\d+/g, 'N')
    .replaceAll(/(, )?N\.N\.N\.N:N(?:, N\.N\.N\.N:N)+/g, '$1NODES')
    .slice(0, 260)
}
