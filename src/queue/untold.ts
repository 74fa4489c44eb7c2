import type { ProducerCounters } from './producer.js'

/** What a producer has to tell of itself: tasks that it has sent elsewhere, and tasks that no replica has confirmed in time. */
export interface Tally {
  readonly rerouted: number
  readonly unconfirmed: number
}

/** Of what a producer counts, that which no partition has been told yet. The next call that stores tasks takes it along. */
export class Untold {
  #rerouted = 0
  #unconfirmed = 0

  constructor(private readonly counters: Readonly<ProducerCounters>) {}

  get some(): boolean {
    return this.counters.reroutes > this.#rerouted || this.counters.unconfirmed > this.#unconfirmed
  }

  /** Undefined mostly: nothing has gone wrong. */
  take(): Tally | undefined {
    const rerouted = this.counters.reroutes - this.#rerouted
    const unconfirmed = this.counters.unconfirmed - this.#unconfirmed
    if (!this.some) return undefined
    this.#rerouted += rerouted
    this.#unconfirmed += unconfirmed
    return { rerouted, unconfirmed }
  }

  /** The call was certainly not carried out. */
  putBack(tally: Tally | undefined): void {
    this.#rerouted -= tally?.rerouted ?? 0
    this.#unconfirmed -= tally?.unconfirmed ?? 0
  }
}
