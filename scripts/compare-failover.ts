/**
 * `npm run compare:failover [-- --write]`: the same drill for shardq and for BullMQ, in turn, each on a new local 3+3
 * cluster with cluster-node-timeout 5000, the struck master being the one that has BullMQ's queue. Takes about five
 * minutes. With --write, the table in docs/failover.md is replaced.
 */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePorts, type LocalCluster, startCluster } from '../src/cluster/index.js'
import { type DrillKind, type DrillReport, planDrill } from '../src/drill/index.js'
import type { QueueFactory } from '../src/drill/queue-under-test.js'
import { ShardqUnderTest } from '../src/drill/shardq-queue.js'
import { BULLMQ_SLOT, BullmqUnderTest } from './compare/bullmq-queue.js'
import { type Comparison, table } from './compare/table.js'

const KINDS: readonly DrillKind[] = ['kill', 'freeze', 'replica-lag']
const NODE_TIMEOUT_MS = 5_000
const PAGE = fileURLToPath(new URL('../docs/failover.md', import.meta.url))
const BEGIN = '<!-- table: npm run compare:failover -->'
const END = '<!-- end -->'

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

async function drillOn(
  cluster: LocalCluster,
  kind: DrillKind,
  makeQueue: QueueFactory,
): Promise<DrillReport> {
  const { nodes } = await cluster.status()
  const shard = nodes.find(({ slots }) =>
    slots.some(([from, to]) => from <= BULLMQ_SLOT && BULLMQ_SLOT <= to),
  )
  const onStep = ({ text, sinceStrikeMs }: { text: string; sinceStrikeMs: number | null }) =>
    console.log(`  ${sinceStrikeMs === null ? '' : `+${sinceStrikeMs} ms `}${text}`)
  const plan = await planDrill(
    { kind, cluster, ...(shard ? { shard } : {}), signal: interrupt.signal, onStep },
    makeQueue,
  )
  return plan.run()
}

async function onNewCluster(kind: DrillKind, makeQueue: QueueFactory): Promise<DrillReport> {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-compare-'))
  let cluster: LocalCluster | undefined
  try {
    cluster = await startCluster({
      ports: await freePorts(6),
      dataDir: join(folder, 'cluster'),
      settings: { 'cluster-node-timeout': String(NODE_TIMEOUT_MS) },
      signal: interrupt.signal,
    })
    return await drillOn(cluster, kind, makeQueue)
  } finally {
    await cluster?.stop({ remove: true })
    await rm(folder, { recursive: true, force: true })
  }
}

async function versionOf(name: string): Promise<string> {
  const text = await readFile(new URL(`../node_modules/${name}/package.json`, import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

const comparisons: Comparison[] = []
for (const kind of KINDS) {
  console.log(`${kind}, BullMQ`)
  const bullmq = await onNewCluster(kind, (target) => new BullmqUnderTest(target))
  for (const complaint of bullmq.complaints) console.log(`  complained: ${complaint}`)
  console.log(`${kind}, shardq`)
  const shardq = await onNewCluster(kind, (target) => new ShardqUnderTest(target))
  comparisons.push({ kind, shardq, bullmq })
}

const [redis = ''] = execFileSync('redis-server', ['--version'], { encoding: 'utf8' }).match(/v=\S+/) ?? []
const where =
  `BullMQ ${await versionOf('bullmq')} with ioredis ${await versionOf('ioredis')}, Redis ${redis.slice(2)}, ` +
  `Node ${process.version}, ${cpus().length} cores, all on one machine; 3 masters, 3 replicas, ` +
  `cluster-node-timeout ${NODE_TIMEOUT_MS} ms; 500 tasks per second; one run each.`
const text = `${table(comparisons)}\n\n${where}`
console.log(`\n${text}`)

if (process.argv.includes('--write')) {
  const page = await readFile(PAGE, 'utf8')
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (from < 0 || to < from) throw new Error(`${PAGE} has no table between ${BEGIN} and ${END}`)
  await writeFile(PAGE, `${page.slice(0, from + BEGIN.length)}\n\n${text}\n\n${page.slice(to)}`)
  console.log(`written into ${PAGE}`)
}
