/**
 * `npm run bench -- [--part peers|growth|depth|memory] [--rounds 5] [--quick] [--only kind,...] [--out FILE]`: on local
 * clusters of its own, contenders in turn, each reading in a process of its own. Prints tables; with --out, writes all
 * readings as JSON.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  type BenchRow,
  bench,
  type Column,
  type Contender,
  type Measure,
  renderBench,
  titleOf,
} from '../../src/bench/index.js'
import { freePorts, startCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'

const { values: flags } = parseArgs({
  options: {
    part: { type: 'string', default: 'peers' },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    contenders: { type: 'string' },
    out: { type: 'string' },
  },
})

const here = (path: string) => new URL(path, import.meta.url).href
/** As it is published: compiled. */
const SHARDQ: Contender = {
  name: 'shardq',
  module: here('../../dist/bench/shardq-client.js'),
  scale: 1,
  concurrency: 1_000,
}
const PEERS: readonly Contender[] = [
  SHARDQ,
  { name: 'floor', module: here('../../dist/bench/floor-client.js'), scale: 1, concurrency: 1_000 },
  { name: 'BullMQ', module: here('./bullmq.ts'), scale: 0.1, concurrency: 100 },
  {
    name: 'BullMQ, a queue per master',
    module: here('./bullmq-per-master.ts'),
    scale: 0.1,
    concurrency: 100,
  },
]

const TASKS = flags.quick ? 60_000 : 200_000
const large = (bytes: number) => (bytes > 1_000 ? TASKS / 2 : TASKS)
const SIZES = [100, 1_000, 10_000]
const PEER_MEASURES: readonly Measure[] = [
  ...SIZES.map((bytes): Measure => ({ kind: 'enqueue-many', bytes, tasks: large(bytes) })),
  { kind: 'enqueue', concurrency: 1, bytes: 100, tasks: 5_000 },
  { kind: 'enqueue', concurrency: 10, bytes: 100, tasks: TASKS / 4 },
  { kind: 'enqueue', concurrency: 100, bytes: 100, tasks: TASKS / 2 },
  { kind: 'enqueue', concurrency: 1_000, bytes: 100, tasks: TASKS },
  { kind: 'process', concurrency: 0, bytes: 100, tasks: TASKS },
  ...SIZES.map((bytes): Measure => ({ kind: 'both', concurrency: 0, bytes, tasks: large(bytes) })),
  { kind: 'idle', bytes: 100, tasks: 250 },
]
const DEPTH_MEASURES = (['enqueue', 'process'] as const).flatMap((what) =>
  [1_000, 100_000, 1_000_000].map(
    (waiting): Measure => ({ kind: 'deep', what, waiting, concurrency: 0, bytes: 100, tasks: TASKS }),
  ),
)
const GROWTH_MEASURES: readonly Measure[] = [
  { kind: 'both', concurrency: 0, bytes: 100, tasks: TASKS },
  { kind: 'still', workers: 1, bytes: 100, tasks: 1 },
]
const GROWTH_COLUMNS: readonly Column[] = [
  { head: 'client µs', figure: 'clientUs', digits: 1 },
  { head: 'masters µs', figure: 'masterUs', digits: 1 },
  { head: 'commands/s', figure: 'commandsPerSecond', digits: 1 },
  { head: 'sockets', figure: 'sockets', digits: 0 },
  { head: 'most MB', figure: 'mostMb', digits: 0 },
]

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

interface Part {
  readonly masters: number
  readonly contenders: readonly Contender[]
  readonly measures: readonly Measure[]
  readonly columns?: readonly Column[]
}

const withPartitions = (count: number): Contender => ({
  ...SHARDQ,
  name: `${count} partitions`,
  settings: { partitions: count },
})

const PARTS: Readonly<Record<string, readonly Part[]>> = {
  peers: [{ masters: 3, contenders: PEERS, measures: PEER_MEASURES }],
  depth: [{ masters: 3, contenders: [SHARDQ], measures: DEPTH_MEASURES }],
  memory: [
    {
      masters: 3,
      contenders: [SHARDQ],
      measures: [{ kind: 'flood', bytes: 100, tasks: 1_000_000 }],
      columns: GROWTH_COLUMNS,
    },
  ],
  growth: [
    {
      masters: 3,
      contenders: [12, 48, 192].map(withPartitions),
      measures: [...GROWTH_MEASURES, { kind: 'still', workers: 64, bytes: 100, tasks: 1 }],
      columns: GROWTH_COLUMNS,
    },
    ...[6, 9, 12, 15].map((masters) => ({
      masters,
      contenders: [{ ...SHARDQ, name: `shardq, ${masters} masters` }],
      measures: GROWTH_MEASURES,
      columns: GROWTH_COLUMNS,
    })),
  ],
}

async function run({ masters, contenders, measures, columns }: Part): Promise<BenchRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
  const cluster = await startCluster({
    ports: await freePorts(masters * 2),
    masters,
    dataDir: join(folder, 'cluster'),
    signal: interrupt.signal,
  })
  try {
    const { nodes } = await cluster.status()
    const only = flags.only?.split(',')
    const wanted = flags.contenders?.split(',')
    const rows = await bench({
      connection: { mode: 'cluster', nodes: cluster.seeds },
      contenders: contenders.filter(({ name }) => !wanted || wanted.includes(name)),
      measures: measures.filter(({ kind }) => !only || only.includes(kind)),
      rounds: Number(flags.rounds),
      signal: interrupt.signal,
      async clean() {
        for (const { host, port } of nodes.filter(({ slots }) => slots.length > 0))
          await withLink({ host, port }, { timeoutMs: 30_000 }, (link) => link.text('FLUSHALL', 'SYNC'))
      },
      onReading: ({ measure, contender, round, reading }) =>
        console.log(
          `${titleOf(measure)}: ${contender}, round ${round + 1}: ${Math.round(reading.perSecond).toLocaleString('en')}/s`,
        ),
    })
    console.log(`\n${masters} masters\n${renderBench(rows, process.stdout.isTTY, columns)}\n`)
    return rows
  } finally {
    await cluster.stop({ remove: true })
    await rm(folder, { recursive: true, force: true })
  }
}

const parts = PARTS[flags.part]
if (!parts) throw new Error(`--part: expected one of ${Object.keys(PARTS).join(', ')}, got ${flags.part}`)
const rows: { masters: number; rows: BenchRow[] }[] = []
for (const part of parts) rows.push({ masters: part.masters, rows: await run(part) })
const [cpu] = cpus()
console.log(`${cpus().length} cores (${cpu?.model ?? 'unknown'}), Node ${process.version}`)
if (flags.out) await writeFile(flags.out, `${JSON.stringify(rows, null, 2)}\n`)
