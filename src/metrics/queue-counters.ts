import type { QueueSurvey } from '../queue/surveyor.js'

/** Below this share of what it was, a counter was made anew, with its queue. */
const ANEW = 0.5

/**
 * Counters of queues, as Prometheus needs them: they never fall. It would take a fall for a restart, and count all from 0
 * once more; but a partition that does not answer has not lost what it counted, and a replica that was promoted may lack the
 * last of it.
 */
export class QueueCounters {
  readonly #known = new Map<string, (Map<string, number> | undefined)[]>()

  /** What was last heard of each partition, added up; undefined until each has been heard once. */
  add({ name, partitions }: QueueSurvey): ReadonlyMap<string, number> | undefined {
    const known = this.#known.get(name) ?? []
    this.#known.set(name, known)
    const sums = new Map<string, number>()
    let all = true
    partitions.forEach((answer, index) => {
      if (answer) known[index] = latest(known[index], answer.counters)
      if (!known[index]) all = false
      for (const [field, value] of known[index] ?? []) sums.set(field, (sums.get(field) ?? 0) + value)
    })
    return all ? sums : undefined
  }

  /** Queues that are gone. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.#known.keys()) if (!names.has(name)) this.#known.delete(name)
  }
}

function latest(
  before: ReadonlyMap<string, number> | undefined,
  now: ReadonlyMap<string, number>,
): Map<string, number> {
  const enqueued = (counters: ReadonlyMap<string, number> | undefined) => counters?.get('enqueued') ?? 0
  if (!before || enqueued(now) < ANEW * enqueued(before)) return new Map(now)
  const merged = new Map(before)
  for (const [field, value] of now) merged.set(field, Math.max(value, before.get(field) ?? 0))
  return merged
}
