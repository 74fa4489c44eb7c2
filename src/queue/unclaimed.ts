import type { FetchedTask } from '../scripts/exchange.js'
import type { HandedBatch } from './lease.js'
import { levelOfRecord } from './task.js'

/** Ms for which tasks that came too late for one take wait for another. */
const UNCLAIMED_MS = 100

/** Tasks that came too late for the take that had asked for them. */
export class Unclaimed {
  #batches: HandedBatch[] = []
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(private readonly abandon: (batch: HandedBatch) => void) {}

  has(levels: readonly number[]): boolean {
    return this.#batches.some(({ tasks }) =>
      tasks.some(({ record }) => levels.includes(levelOfRecord(record))),
    )
  }

  /** Takes up to `count`, highest priority first. */
  take(count: number, levels: readonly number[]): HandedBatch[] {
    if (this.#batches.length === 0) return []
    const taken: HandedBatch[] = []
    let left = count
    for (const level of levels) {
      this.#batches = this.#batches.flatMap(({ lease, tasks }) => {
        const wanted = tasks.filter(({ record }) => levelOfRecord(record) === level).slice(0, left)
        if (wanted.length === 0) return [{ lease, tasks }]
        left -= wanted.length
        taken.push({ lease, tasks: wanted })
        const others = tasks.filter((task) => !wanted.includes(task))
        return others.length > 0 ? [{ lease, tasks: others }] : []
      })
    }
    return taken
  }

  /** Not for long: the lease would run out while nobody works on the tasks. */
  add(batch: HandedBatch): void {
    if (batch.tasks.length === 0 || this.#stopped) return
    this.#batches.push(batch)
    this.#timer ??= setTimeout(() => this.handBack(), UNCLAIMED_MS)
  }

  handBack(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const byLease = new Map(this.#batches.map(({ lease }) => [lease, [] as FetchedTask[]]))
    for (const { lease, tasks } of this.#batches.splice(0)) byLease.get(lease)?.push(...tasks)
    for (const [lease, tasks] of byLease) this.abandon({ lease, tasks })
  }

  /** No more is taken in. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }
}
