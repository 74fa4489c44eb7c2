import type { Connection } from '../connection/connection.js'
import { type Fault, isCertain } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { exchangeCall } from '../scripts/exchange.js'

/** Upper bounds, in ms, of the intervals that times are counted in; one more has all that took longer. */
export const TIME_BOUNDS_MS = [
  1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 60_000, 300_000, 600_000,
] as const

/** How often something took how long. */
export class Durations {
  readonly counts = new Array<number>(TIME_BOUNDS_MS.length + 1).fill(0)
  sumMs = 0

  add(ms: number): void {
    let i = 0
    while (i < TIME_BOUNDS_MS.length && ms > (TIME_BOUNDS_MS[i] as number)) i++
    this.counts[i] = (this.counts[i] ?? 0) + 1
    this.sumMs += ms
  }

  addAll(other: Durations): void {
    other.counts.forEach((count, i) => {
      this.counts[i] = (this.counts[i] ?? 0) + count
    })
    this.sumMs += other.sumMs
  }
}

/** Ms between two calls that carry what was counted. */
const CARRY_MS = 1_000

/**
 * How long tasks waited for their handlers, and how long these took: counted in this process, and carried to the servers about
 * once a second by a call that goes there anyway. It is for the whole queue, so any partition will do. What a call carries that
 * is never answered may be lost, and so is what a process has counted that dies.
 */
export class Timings {
  wait = new Durations()
  processing = new Durations()
  #carryAtMs = 0

  /** What a call that is about to be sent should carry; undefined mostly. */
  take(nowMs: number): Carried | undefined {
    if (nowMs < this.#carryAtMs) return undefined
    this.#carryAtMs = nowMs + CARRY_MS
    const carried = new Carried(this.wait, this.processing)
    if (carried.text === '') return undefined
    this.wait = new Durations()
    this.processing = new Durations()
    return carried
  }

  /** The call has failed: what it carried goes with another one, unless it may have arrived. */
  failed(carried: Carried | undefined, fault: Fault): void {
    if (!carried || !isCertain(fault)) return
    this.wait.addAll(carried.wait)
    this.processing.addAll(carried.processing)
  }

  /** A call of its own, for when none goes there anyway: whoever stops, or has nothing to do, is to have told all. */
  async tell(connection: Connection, { slot, keys }: Partition, nowMs: number): Promise<void> {
    const carried = this.take(nowMs)
    if (!carried) return
    const fetch = { leaseId: '', leaseMs: 0, count: 0, least: 0, levels: [] }
    const call = exchangeCall(keys, { acknowledge: [], keepResultsMs: 0, fetch, carried: carried.text })
    const outcome = await connection.attempt(slot, call, { lane: 'consume' })
    if (!outcome.ok) this.failed(carried, outcome.fault)
  }
}

/** Counts on their way to a server. */
export class Carried {
  /** Fields of the hash of counters, and by how much they grow: `wait:0 12 wait:sum 3 processing:0 12 ...`; '' for none. */
  readonly text: string

  constructor(
    readonly wait: Durations,
    readonly processing: Durations,
  ) {
    this.text = [...fieldsOf('wait', wait), ...fieldsOf('processing', processing)].join(' ')
  }
}

/** What is under a ms is nothing on its own, and much in a thousand tasks: sums are in µs. */
function fieldsOf(name: string, { counts, sumMs }: Durations): string[] {
  const fields = counts.flatMap((count, i) => (count > 0 ? [`${name}:${i} ${count}`] : []))
  return fields.length > 0 ? [...fields, `${name}:sum ${Math.round(sumMs * 1_000)}`] : []
}

/** What the servers have of it. @param counters of all partitions, added up */
export function durationsFrom(counters: ReadonlyMap<string, number>, name: 'wait' | 'processing'): Durations {
  const durations = new Durations()
  for (let i = 0; i <= TIME_BOUNDS_MS.length; i++) durations.counts[i] = counters.get(`${name}:${i}`) ?? 0
  durations.sumMs = (counters.get(`${name}:sum`) ?? 0) / 1_000
  return durations
}
