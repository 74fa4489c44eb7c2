import type { BenchResults } from '../../scripts/bench/plot/results.js'
import type { BenchRow, FullReading, Measure } from '../../src/bench/index.js'

const reading = (figures: Partial<FullReading>): FullReading => ({
  tasks: 1_000,
  ms: 1_000,
  clientUs: 5,
  p50Ms: undefined,
  p99Ms: undefined,
  sockets: 9,
  mostMb: 80,
  perSecond: 1_000,
  commandsPerSecond: 100,
  masterUs: 3,
  replicaUs: 1,
  bytesPerTask: undefined,
  ...figures,
})
export const both: Measure = { kind: 'both', concurrency: 0, bytes: 100, tasks: 1_000 }
export const row = (contender: string, measure: Measure, ...readings: Partial<FullReading>[]): BenchRow => ({
  contender,
  measure,
  readings: readings.map(reading),
})
const deep = (what: 'enqueue' | 'process', waiting: number, masterUs: number) =>
  row('shardq', { kind: 'deep', what, waiting, concurrency: 0, bytes: 100, tasks: 1_000 }, { masterUs })

/** Parts with so many masters and these rows, as a run of the bench would have written them. */
export function results(...parts: (readonly [masters: number, ...rows: BenchRow[]])[]): BenchResults {
  const machine = { cores: 2, cpu: 'Some CPU <fast> & cheap', node: 'v20.1.2', redis: '7.0.3' }
  return {
    machine,
    parts: parts.map(([masters, ...rows]) => ({ title: `${masters} masters`, masters, rows })),
  }
}

export const PEERS = results([
  3,
  row(
    'shardq',
    both,
    { perSecond: 80_000 },
    { perSecond: 60_000 },
    { perSecond: 90_000 },
    { perSecond: 20_000 },
    { perSecond: 81_000 },
  ),
  row('floor', both, { perSecond: 160_000 }),
  row('BullMQ', both, { perSecond: 8_000 }),
  row('BullMQ, a queue per master', both, { perSecond: 7_123 }),
  row('shardq', { ...both, bytes: 10_000 }, { perSecond: 4_321 }),
  row('shardq', { kind: 'process', concurrency: 0, bytes: 100, tasks: 1_000 }, { perSecond: 120_000 }),
  row('shardq', { kind: 'enqueue', concurrency: 10, bytes: 100, tasks: 1_000 }, { perSecond: 5_432 }),
])
export const ONE = results([
  1,
  ...['shardq', 'floor', 'BullMQ', 'bee-queue', 'Bull'].map((name) => row(name, both, { perSecond: 7_000 })),
])
// In another order than the plot has them.
export const GROWTH = results(
  [6, row('shardq, 6 masters', both, { clientUs: 8 })],
  [
    3,
    row('192 partitions', both, { clientUs: 12 }),
    row('12 partitions', both, { clientUs: 6 }, { clientUs: 5 }, { clientUs: 7 }),
    row('48 partitions', both, { clientUs: 9 }),
    row('12 partitions', { kind: 'still', workers: 64, bytes: 100, tasks: 1 }, { clientUs: 9_999 }),
  ],
)
export const DEPTH = results([
  3,
  deep('enqueue', 1_000_000, 3),
  deep('enqueue', 1_000, 2),
  deep('process', 1_000, 4),
])
