import type { MoveProgress } from '../move/index.js'
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

interface Amount {
  readonly slots: number
  readonly keys: number
  readonly bytes: number
}

const NOTHING: Amount = { slots: 0, keys: 0, bytes: 0 }
const sum = (a: Amount, b: Amount): Amount => ({
  slots: a.slots + b.slots,
  keys: a.keys + b.keys,
  bytes: a.bytes + b.bytes,
})

/** Counts what has been moved, over several plans if nodes fail on the way. */
export class Tally {
  readonly #startedMs = performance.now()
  #ended = NOTHING
  /** Of the move that has begun last. */
  #underWay = NOTHING
  #total = NOTHING

  constructor(private readonly onProgress: ((progress: RebalanceProgress) => void) | undefined) {}

  get done(): Amount {
    return sum(this.#ended, this.#underWay)
  }

  /** What was moved already, and what is to be moved now. */
  plan({ slots, keys, bytes }: BalancePlan): void {
    this.#total = sum(this.done, { slots, keys, bytes })
  }

  /** @returns to be told how far a move is */
  begin(what: string): (progress: MoveProgress) => void {
    return ({ slots, keys, bytes }) => {
      this.#underWay = { slots, keys, bytes }
      this.tell('moving', what)
    }
  }

  /** The move has ended, however it has. */
  end(): void {
    this.#ended = this.done
    this.#underWay = NOTHING
  }

  tell(state: RebalanceProgress['state'], what: string): void {
    const elapsedMs = performance.now() - this.#startedMs
    const { slots, keys, bytes } = this.done
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
