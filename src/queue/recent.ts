import type { TaskBatch } from '../scripts/task-batch.js'

/** Ms for which it is tried to store again what a master has lost: longer than a failover. */
export const RESTORE_MS = 60_000
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
  /** See Recent.#end. */
  readonly start: number
}

/**
 * What a partition has confirmed in the last moments. A master that is killed and comes back before its replica is
 * promoted has lost what it had not written to disk, and its replica then drops the same: so the last batches are
 * kept here, to be stored again if the partition turns out not to know them (redis.io, "Redis persistence", AOF).
 * Price: `mostBytes` of memory; under a load that fills them sooner, the time that is covered is shorter.
 *
 * Batches are kept where they are sent from: in a ring of bytes, each written over what is oldest. So they are no business of the
 * garbage collector, to which thousands of objects that live for seconds would cost more than all the rest. One batch at a time:
 * `begin`, then `reserve` for its parts; its place is safe until the next `begin`, and from `add` on for as long as it is kept.
 */
export class Recent {
  #entries: Entry[] = []
  #bytes = 0
  #ring: Buffer | undefined
  /** Bytes that were ever reserved in the ring, with those left out at its end: modulo its size, where the next one begins. */
  #end = 0
  #start = 0

  constructor(private readonly mostBytes: number) {}

  get isEmpty(): boolean {
    return this.#entries.length === 0
  }

  /** A new batch is about to be written. */
  begin(): void {
    this.#start = this.#end
  }

  /** A place for so many bytes of the batch that was begun. */
  reserve(bytes: number): Buffer {
    // What would take most of the ring, with nothing left for what was before, has memory of its own.
    if (this.#end - this.#start + bytes > this.mostBytes / 2) return Buffer.allocUnsafe(bytes)
    this.#ring ??= Buffer.allocUnsafeSlow(this.mostBytes)
    const left = this.mostBytes - (this.#end % this.mostBytes)
    if (left < bytes) this.#end += left
    const at = this.#end % this.mostBytes
    this.#end += bytes
    this.#dropWhile(({ start }) => start < this.#end - this.mostBytes)
    return this.#ring.subarray(at, at + bytes)
  }

  add(number: number, tasks: TaskBatch, restores: number): void {
    const bytes = [...tasks.ready, tasks.scheduled].reduce((sum, { text }) => sum + text.length, 0)
    this.#entries.push({ number, tasks, restores, bytes, atMs: performance.now(), start: this.#start })
    this.#bytes += bytes
    this.forget()
  }

  /** Takes out the batches above `number`; to be read before the next `begin`. */
  takeAfter(number: number): RecentBatch[] {
    const missing = this.#entries.filter((entry) => entry.number > number)
    this.#entries = this.#entries.filter((entry) => entry.number <= number)
    this.#bytes = this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    return missing
  }

  /** Drops what is older than `ms`. By default, what could not be missing even if its master broke down now. */
  forget(ms = REMEMBER_MS): void {
    const oldestMs = performance.now() - ms
    this.#dropWhile(({ atMs }) => atMs < oldestMs || this.#bytes > this.mostBytes)
  }

  /** Of the oldest. */
  #dropWhile(over: (entry: Entry) => boolean): void {
    let gone = 0
    for (const entry of this.#entries) {
      if (!over(entry)) break
      this.#bytes -= entry.bytes
      gone++
    }
    if (gone > 0) this.#entries.splice(0, gone)
  }
}
