/** `npm run bench:tls`: what TLS costs, on two clusters in turns, one of which speaks it. `-- ROUNDS TASKS`, default 5 100000. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BenchRow, benchCluster, renderBench, titleOf } from '../../src/bench/index.js'
import { freePorts, type LocalCluster, startCluster, type UpOptions } from '../../src/cluster/index.js'

const NODES = 6
const rounds = Number(process.argv[2] ?? 5)
const tasks = Number(process.argv[3] ?? 100_000)

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())
const { signal } = interrupt

const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
const clusters: LocalCluster[] = []
const rows = new Map<string, BenchRow>()
try {
  const plain = await start('plain', {})
  const secured = await start('TLS', { password: true, tls: true })
  for (let round = 0; round < rounds; round++) {
    const both = [['plain', plain] as const, ['TLS, password', secured] as const]
    // Another one begins each time.
    for (const [name, cluster] of round % 2 === 0 ? both : both.reverse()) await measure(name, cluster)
  }
} finally {
  for (const cluster of clusters) await cluster.stop({ remove: true })
  await rm(folder, { recursive: true, force: true })
}
const sorted = [...rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
console.log(renderBench(sorted, false))

async function start(name: string, security: UpOptions): Promise<LocalCluster> {
  const dataDir = join(folder, name)
  const cluster = await startCluster({ ports: await freePorts(NODES), dataDir, signal, ...security })
  clusters.push(cluster)
  return cluster
}

async function measure(name: string, { connection }: LocalCluster): Promise<void> {
  for (const { measure, contender, readings } of await benchCluster({
    connection,
    rounds: 1,
    tasks,
    signal,
  })) {
    if (contender !== 'shardq') continue
    const key = `${titleOf(measure)} ${name}`
    rows.set(key, { measure, contender: name, readings: [...(rows.get(key)?.readings ?? []), ...readings] })
  }
}
