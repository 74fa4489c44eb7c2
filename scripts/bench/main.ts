/**
 * `npm run bench -- [--rounds 5] [--quick] [--only kind,kind] [--out FILE]`: shardq, the floor and BullMQ on a local 3+3
 * cluster of its own, in turn, each reading in a process of its own. Prints a table; with --out, writes all readings as JSON.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { bench, type Contender, type Measure, renderBench, titleOf } from '../../src/bench/index.js'
import { freePorts, startCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    contenders: { type: 'string' },
    out: { type: 'string' },
  },
})

const here = (path: string) => new URL(path, import.meta.url).href
/** shardq as it is published: compiled. */
const CONTENDERS: readonly Contender[] = [
  { name: 'shardq', module: here('../../dist/bench/shardq-client.js'), scale: 1, concurrency: 1_000 },
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
const MEASURES: readonly Measure[] = [
  ...[100, 1_000, 10_000].map(
    (bytes): Measure => ({ kind: 'enqueue-many', bytes, tasks: bytes > 1_000 ? TASKS / 2 : TASKS }),
  ),
  { kind: 'enqueue', concurrency: 1, bytes: 100, tasks: 5_000 },
  { kind: 'enqueue', concurrency: 10, bytes: 100, tasks: TASKS / 4 },
  { kind: 'enqueue', concurrency: 100, bytes: 100, tasks: TASKS / 2 },
  { kind: 'enqueue', concurrency: 1_000, bytes: 100, tasks: TASKS },
  { kind: 'process', concurrency: 500, bytes: 100, tasks: TASKS },
  ...[100, 1_000, 10_000].map(
    (bytes): Measure => ({
      kind: 'both',
      concurrency: 500,
      bytes,
      tasks: bytes > 1_000 ? TASKS / 2 : TASKS,
    }),
  ),
  { kind: 'idle', bytes: 100, tasks: 250 },
]

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())
const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
const cluster = await startCluster({
  ports: await freePorts(6),
  dataDir: join(folder, 'cluster'),
  signal: interrupt.signal,
})
try {
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ slots }) => slots.length > 0)
  const only = flags.only?.split(',')
  const wanted = flags.contenders?.split(',')
  const rows = await bench({
    connection: { mode: 'cluster', nodes: cluster.seeds },
    contenders: CONTENDERS.filter(({ name }) => !wanted || wanted.includes(name)),
    measures: MEASURES.filter(({ kind }) => !only || only.includes(kind)),
    rounds: Number(flags.rounds),
    signal: interrupt.signal,
    async clean() {
      for (const { host, port } of masters)
        await withLink({ host, port }, { timeoutMs: 30_000 }, (link) => link.text('FLUSHALL', 'SYNC'))
    },
    onReading: ({ measure, contender, round, reading }) =>
      console.log(
        `${titleOf(measure)}: ${contender}, round ${round + 1}: ${Math.round(reading.perSecond).toLocaleString('en')}/s`,
      ),
  })
  console.log(`\n${renderBench(rows, process.stdout.isTTY)}`)
  const [cpu] = cpus()
  console.log(`${cpus().length} cores (${cpu?.model ?? 'unknown'}), Node ${process.version}`)
  if (flags.out) await writeFile(flags.out, `${JSON.stringify(rows, null, 2)}\n`)
} finally {
  await cluster.stop({ remove: true })
  await rm(folder, { recursive: true, force: true })
}
