import { type Durations, TIME_BOUNDS_MS } from '../queue/timings.js'
import type { Labels, Samples } from './observed.js'

const BOUNDS = [...TIME_BOUNDS_MS.map((ms) => String(ms / 1_000)), '+Inf']

/** As Prometheus has histograms: each bucket has those of all smaller ones too, in seconds. */
export function addHistogram<Name extends string>(
  samples: Samples<Name>,
  name: Name,
  labels: Labels,
  durations: Durations,
): void {
  let count = 0
  BOUNDS.forEach((le, i) => {
    count += durations.counts[i] ?? 0
    samples.put(name, { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count })
  })
  samples.put(name, { metricName: `${name}_sum`, labels, value: durations.sumMs / 1_000 })
  samples.put(name, { metricName: `${name}_count`, labels, value: count })
}
