import type { CopyProgress } from './copy-keys.js'

export interface MoveProgress {
  /** Slots that have arrived. */
  readonly slots: number
  readonly of: number
  /** Keys that have arrived, with those of slots that are under way. */
  readonly keys: number
  /** Of keys of the queue, by MEMORY USAGE. */
  readonly bytes: number
}

/** Adds up what several slots tell of themselves. */
export class Tally {
  #keys = 0
  #bytes = 0

  constructor(
    private readonly total: number,
    private arrived: number,
    private readonly onProgress: ((progress: MoveProgress) => void) | undefined,
  ) {}

  slotsArrived(count: number): void {
    this.arrived += count
    this.#tell()
  }

  /** What one slot has told so far, each time in all. */
  forSlot(): { onKeys(keys: number): void; onCopied(progress: CopyProgress): void } {
    let moved = 0
    let copied: CopyProgress = { keys: 0, bytes: 0 }
    return {
      onKeys: (keys) => {
        this.#keys += keys - moved
        moved = keys
        this.#tell()
      },
      onCopied: (progress) => {
        this.#keys += progress.keys - copied.keys
        this.#bytes += progress.bytes - copied.bytes
        copied = progress
        this.#tell()
      },
    }
  }

  #tell(): void {
    this.onProgress?.({ slots: this.arrived, of: this.total, keys: this.#keys, bytes: this.#bytes })
  }
}
