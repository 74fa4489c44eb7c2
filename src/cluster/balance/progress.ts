import type { BalancePlan } from './flows.js'

export interface RebalanceProgress {
  /** `waiting`: for masters to answer and agree, after one has failed; `mending`: what was cut off before. */
  readonly state: 'waiting' | 'mending' | 'moving'
  /** What is done, or why it waits. */
  readonly what: string
  /** Done since the beginning, and what there is in all, as far as is known. Bytes are estimated. */
  readonly slots: number
  readonly slotsTotal: number
  readonly keys: number
  readonly keysTotal: number
  readonly bytes: number
  readonly bytesTotal: number
  readonly elapsedMs: number
  /** Null while it cannot be told. */
  readonly leftMs: number | null
}

/** An empty slot takes as long as so many bytes of keys, about: what an estimate of the time that is left goes by. */
const BYTES_PER_SLOT = 20_000

/** Counts what has been moved, over several plans if nodes fail on the way. */
export class Tally {
  readonly #startedMs = performance.now()
  #done = { slots: 0, keys: 0, bytes: 0 }
  #total = { slots: 0, keys: 0, bytes: 0 }

  constructor(private readonly onProgress: ((progress: RebalanceProgress) => void) | undefined) {}

  get done(): { readonly slots: number; readonly keys: number; readonly bytes: number } {
    return this.#done
  }

  /** What was moved already, and what is to be moved now. */
  plan({ slots, keys, bytes }: BalancePlan): void {
    const done = this.#done
    this.#total = { slots: done.slots + slots, keys: done.keys + keys, bytes: done.bytes + bytes }
  }

  moved(slots: number, keys = 0, bytes = 0): void {
    const done = this.#done
    this.#done = { slots: done.slots + slots, keys: done.keys + keys, bytes: done.bytes + bytes }
  }

  /** @param underWay keys and bytes of the slot that is being moved */
  tell(state: RebalanceProgress['state'], what: string, underWay = { keys: 0, bytes: 0 }): void {
    const elapsedMs = performance.now() - this.#startedMs
    const keys = this.#done.keys + underWay.keys
    const bytes = this.#done.bytes + underWay.bytes
    const { slots } = this.#done
    const work = slots * BYTES_PER_SLOT + bytes
    const totalWork = this.#total.slots * BYTES_PER_SLOT + this.#total.bytes
    this.onProgress?.({
      state,
      what,
      slots,
      slotsTotal: this.#total.slots,
      keys,
      // Clients write meanwhile, and sizes are estimates.
      keysTotal: Math.max(this.#total.keys, keys),
      bytes,
      bytesTotal: Math.max(this.#total.bytes, bytes),
      elapsedMs,
      leftMs: work === 0 ? null : (elapsedMs * Math.max(0, totalWork - work)) / work,
    })
  }
}
