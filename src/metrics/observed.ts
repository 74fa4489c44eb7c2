import type { Metric, Registry } from 'prom-client'

export type Labels = Readonly<Record<string, string>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
  /** Of a histogram's samples: the family's name with `_bucket`, `_sum` or `_count`. */
  readonly metricName?: string
}

/** What is told of a metric besides its values; docs/metrics.md has all of them in a table. */
export interface Family {
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly help: string
  readonly labels: readonly string[]
}

/** What one look has found: values by the names of their metrics. */
export class Samples<Name extends string> {
  readonly #byName = new Map<string, Sample[]>()

  /** A value that the server did not tell, or that is no number, is left out. */
  add(name: Name, labels: Labels, value: number | undefined): void {
    if (value !== undefined && !Number.isNaN(value)) this.put(name, { labels, value })
  }

  put(name: Name, sample: Sample): void {
    const samples = this.#byName.get(name)
    if (samples) samples.push(sample)
    else this.#byName.set(name, [sample])
  }

  of(name: string): readonly Sample[] {
    return this.#byName.get(name) ?? []
  }
}

type Source = () => Promise<readonly Sample[]>

/**
 * A metric of prom-client whose values are looked up when it is scraped. Not a Gauge with a `collect` of its own: several
 * hundred values would be hashed by their labels into a store, only to be read from it once, and a Histogram cannot be told
 * what somebody else has counted. Several collectors may have values for the same metric.
 */
class Observed {
  readonly aggregator = 'sum'
  readonly sources: Source[] = []

  constructor(
    // Written by a registry that speaks OpenMetrics, where names of counters have no `_total`.
    public name: string,
    private readonly family: Family,
  ) {}

  get type(): Family['type'] {
    return this.family.type
  }

  /** What a registry asks of its metrics. */
  async get() {
    const { name, type, aggregator } = this
    const found = await Promise.all(this.sources.map((source) => source()))
    const values = found.length === 1 ? found[0] : addedUp(found.flat())
    return { name, help: this.family.help, type, aggregator, values }
  }

  /** There is nothing here that could be set to zero. */
  reset(): void {}
}

/** Two workers of one queue, for instance, have the same labels. */
function addedUp(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>()
  for (const sample of samples) {
    const key = JSON.stringify([sample.metricName, sample.labels])
    const before = sums.get(key)
    sums.set(key, before ? { ...sample, value: before.value + sample.value } : sample)
  }
  return [...sums.values()]
}

/** Puts metrics into a registry that `look` has the values of, and gives a function that takes them out again. */
export function observe<Name extends string>(
  registry: Registry,
  families: Readonly<Record<Name, Family>>,
  look: () => Promise<Samples<Name>>,
): () => void {
  const removals = Object.entries<Family>(families).map(([name, family]) => {
    const source: Source = async () => (await look()).of(name)
    const there: unknown = registry.getSingleMetric(name)
    const metric = there instanceof Observed ? there : new Observed(name, family)
    // prom-client's type for it lists its own classes; what it asks of them is `name`, `type`, `get` and `reset`.
    if (metric !== there) registry.registerMetric(metric as unknown as Metric)
    metric.sources.push(source)
    return () => {
      metric.sources.splice(metric.sources.indexOf(source), 1)
      if (metric.sources.length === 0) registry.removeSingleMetric(name)
    }
  })
  return () => {
    for (const remove of removals) remove()
  }
}

/** All who ask while a look is under way get what that one finds: the metrics of one scrape, and scrapes at the same time. */
export function shared<Found>(look: () => Promise<Found>): () => Promise<Found> {
  let underWay: Promise<Found> | undefined
  return () => {
    underWay ??= look().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}
