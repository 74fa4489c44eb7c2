import type { TaskBatch } from '../scripts/task-batch.js'

/** Longest that a confirmed batch is remembered, in ms: AOF `everysec` loses at most about so much of a master. */
const REMEMBER_MS = 3_000

export interface RecentBatch {
  readonly number: number
  readonly tasks: TaskBatch
  /** How often a task of it was stored again before. */
  readonly restores: number
}

interface Entry extends RecentBatch {
  readonly bytes: number
  readonly atMs: number
}

/**
 * What a partition has confirmed in the last moments. A master that is killed and comes back before its replica is
 * promoted has lost what it had not written to disk, and its replica then drops the same: so the last batches are
 * kept here, to be stored again if the partition turns out not to know them (redis.io, "Redis persistence", AOF).
 * Price: `mostBytes` of memory; under a load that fills them sooner, the time that is covered is shorter. They are kept as
 * they travelled: thousands of objects that live for seconds would cost the garbage collector more than all the rest.
 */
export class Recent {
  #entries: Entry[] = []
  #bytes = 0

  constructor(private readonly mostBytes: number) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  add(number: number, tasks: TaskBatch, restores: number): void {
    const bytes = [...tasks.ready, tasks.scheduled].reduce((sum, { text }) => sum + text.length, 0)
    this.#entries.push({ number, tasks, restores, bytes, atMs: performance.now() })
    this.#bytes += bytes
    this.forget()
  }

  /** Takes out the batches above `number`. */
  takeAfter(number: number): RecentBatch[] {
    const missing = this.#entries.filter((entry) => entry.number > number)
    this.#entries = this.#entries.filter((entry) => entry.number <= number)
    this.#bytes = this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    return missing
  }

  /** Drops what is older than `ms`. By default, what could not be missing even if its master broke down now. */
  forget(ms = REMEMBER_MS): void {
    const oldestMs = performance.now() - ms
    let gone = 0
    for (const entry of this.#entries) {
      if (entry.atMs >= oldestMs && this.#bytes <= this.mostBytes) break
      this.#bytes -= entry.bytes
      gone++
    }
    if (gone > 0) this.#entries.splice(0, gone)
  }
}
