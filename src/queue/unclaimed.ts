import type { FetchedTask } from '../scripts/exchange.js'
import type { Handed, HandedLease } from './consumer.js'
import { levelOfRecord } from './task.js'

/** Ms for which tasks that came too late for one take wait for another. */
const UNCLAIMED_MS = 100

/** Tasks that came too late for the take that had asked for them. */
export class Unclaimed {
  #tasks: Handed[] = []
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(private readonly abandon: (lease: HandedLease, tasks: readonly FetchedTask[]) => void) {}

  has(levels: readonly number[]): boolean {
    return this.#tasks.some(({ task }) => levels.includes(levelOfRecord(task.record)))
  }

  /** Takes up to `count`, highest priority first. */
  take(count: number, levels: readonly number[]): Handed[] {
    if (this.#tasks.length === 0) return []
    const wanted = levels.flatMap((level) =>
      this.#tasks.filter(({ task }) => levelOfRecord(task.record) === level),
    )
    const taken = new Set(wanted.slice(0, count))
    this.#tasks = this.#tasks.filter((handed) => !taken.has(handed))
    return [...taken]
  }

  /** Not for long: the lease would run out while nobody works on the tasks. */
  add(handed: readonly Handed[]): void {
    if (handed.length === 0 || this.#stopped) return
    this.#tasks.push(...handed)
    this.#timer ??= setTimeout(() => this.giveBack(), UNCLAIMED_MS)
  }

  giveBack(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const byLease = new Map<HandedLease, FetchedTask[]>()
    for (const { lease, task } of this.#tasks.splice(0)) {
      const tasks = byLease.get(lease)
      if (tasks) tasks.push(task)
      else byLease.set(lease, [task])
    }
    for (const [lease, tasks] of byLease) this.abandon(lease, tasks)
  }

  /** No more is taken in. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }
}
