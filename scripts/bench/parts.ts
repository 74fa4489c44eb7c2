/** What `--part` chooses from: contenders, measures, and the servers that they need. */
import type { Contender, Figure, Measure } from '../../src/bench/index.js'
import { checkoutAt, ON_A_CLUSTER, ON_ONE_SERVER, SHARDQ, withPartitions } from './contenders.js'

/** What is measured on servers of its own, in one table. */
export interface Part {
  readonly title: string
  /** 1 for a single server; otherwise of a cluster, a replica for each. */
  readonly masters: number
  /** Of each master of a cluster. Default 1. */
  readonly replicas?: number
  readonly contenders: readonly Contender[]
  readonly measures: readonly Measure[]
  /** Default: what tells queues apart. */
  readonly figures?: readonly Figure[]
}

export const PART_NAMES = ['peers', 'single', 'depth', 'memory', 'growth'] as const
export type PartName = (typeof PART_NAMES)[number]

export function isPartName(name: string): name is PartName {
  return (PART_NAMES as readonly string[]).includes(name)
}

const SIZES = [100, 1_000, 10_000]
const WORKERS = [1, 4, 16, 64]

/** What grows, or must not. */
const GROWTH: readonly Figure[] = ['clientUs', 'masterUs', 'commandsPerSecond', 'sockets', 'mostMb']

/** `tasks`: those of a reading that is measured by throughput. */
export function partsOf(name: PartName, tasks: number): readonly Part[] {
  const both: Measure = { kind: 'both', concurrency: 0, bytes: 100, tasks }
  switch (name) {
    case 'peers':
      return [
        { title: 'peers, 3 masters', masters: 3, contenders: ON_A_CLUSTER, measures: peerMeasures(tasks) },
      ]
    case 'single':
      return [
        {
          title: 'peers, one server',
          masters: 1,
          contenders: ON_ONE_SERVER,
          measures: singleMeasures(tasks),
        },
      ]
    case 'depth':
      return [{ title: 'depth, 3 masters', masters: 3, contenders: [SHARDQ], measures: depthMeasures(tasks) }]
    case 'memory':
      return [
        {
          title: 'memory, 3 masters',
          masters: 3,
          contenders: [SHARDQ],
          measures: (['generator', 'array'] as const).map((from) => ({
            kind: 'flood',
            from,
            bytes: 100,
            tasks: 1_000_000,
          })),
          figures: GROWTH,
        },
      ]
    case 'growth':
      return [
        {
          title: 'partitions, 3 masters',
          masters: 3,
          contenders: [12, 48, 192].map(withPartitions),
          measures: [both, still(1), still(64)],
          figures: GROWTH,
        },
        {
          title: 'workers in one process, 3 masters',
          masters: 3,
          contenders: [SHARDQ],
          measures: [
            ...WORKERS.map((workers): Measure => ({ ...both, kind: 'workers', workers })),
            ...WORKERS.map(still),
          ],
          figures: GROWTH,
        },
        ...[6, 9, 12, 15].map((masters) => ({
          title: `${masters} masters`,
          masters,
          contenders: [{ ...SHARDQ, name: `shardq, ${masters} masters` }],
          measures: [both, still(1)],
          figures: GROWTH,
        })),
      ]
  }
}

/** With the shardq of another checkout as one more contender; `dir` undefined: without. */
export function withCheckout(parts: readonly Part[], dir: string | undefined): readonly Part[] {
  if (dir === undefined) return parts
  return parts.map((part) => ({ ...part, contenders: [...part.contenders, checkoutAt(dir)] }))
}

export interface Choice {
  /** Kinds of measures; undefined for all. */
  readonly kinds?: readonly string[] | undefined
  /** Names of contenders; undefined for all. */
  readonly contenders?: readonly string[] | undefined
}

/** Only what was asked for; a part of which nothing is left goes, or its servers would be started for nothing. */
export function choose(parts: readonly Part[], { kinds, contenders }: Choice): Part[] {
  return parts
    .map((part) => ({
      ...part,
      measures: part.measures.filter(({ kind }) => !kinds || kinds.includes(kind)),
      contenders: part.contenders.filter(({ name }) => !contenders || contenders.includes(name)),
    }))
    .filter((part) => part.measures.length > 0 && part.contenders.length > 0)
}

const still = (workers: number): Measure => ({ kind: 'still', workers, bytes: 100, tasks: 1 })

function peerMeasures(tasks: number): Measure[] {
  const large = (bytes: number) => (bytes > 1_000 ? tasks / 2 : tasks)
  return [
    ...SIZES.map((bytes): Measure => ({ kind: 'enqueue-many', bytes, tasks: large(bytes) })),
    { kind: 'enqueue', concurrency: 1, bytes: 100, tasks: 5_000 },
    { kind: 'enqueue', concurrency: 10, bytes: 100, tasks: tasks / 4 },
    { kind: 'enqueue', concurrency: 100, bytes: 100, tasks: tasks / 2 },
    { kind: 'enqueue', concurrency: 1_000, bytes: 100, tasks },
    { kind: 'process', concurrency: 0, bytes: 100, tasks },
    ...SIZES.map((bytes): Measure => ({ kind: 'both', concurrency: 0, bytes, tasks: large(bytes) })),
    { kind: 'idle', bytes: 100, tasks: 250 },
  ]
}

function singleMeasures(tasks: number): Measure[] {
  return [
    { kind: 'enqueue-many', bytes: 100, tasks },
    { kind: 'enqueue', concurrency: 1, bytes: 100, tasks: 5_000 },
    { kind: 'enqueue', concurrency: 1_000, bytes: 100, tasks },
    { kind: 'process', concurrency: 0, bytes: 100, tasks },
    { kind: 'both', concurrency: 0, bytes: 100, tasks },
    { kind: 'idle', bytes: 100, tasks: 250 },
  ]
}

function depthMeasures(tasks: number): Measure[] {
  return (['enqueue', 'process'] as const).flatMap((what) =>
    [1_000, 100_000, 1_000_000].map(
      (waiting): Measure => ({ kind: 'deep', what, waiting, concurrency: 0, bytes: 100, tasks }),
    ),
  )
}
