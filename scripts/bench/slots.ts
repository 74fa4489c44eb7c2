/**
 * `npm run bench:slots [-- --rounds 3] [--keys 50000]`: how long a thousand slots of small keys of another program take from
 * one master to another, by `redis-cli --cluster reshard`, and back by `rebalance`, look, plan and all. By turns, on three
 * masters of its own, without load; about half a minute. `redis-cli` has to be installed.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { Cluster } from 'ioredis'
import { freePorts, type LocalCluster, planRebalance, startCluster } from '../../src/cluster/index.js'

const SLOTS = 1_000
const KEYS_AT_ONCE = 1_000
const MOST_OUTPUT = 64 * 1024 * 1024

const { values: flags } = parseArgs({ options: { rounds: { type: 'string' }, keys: { type: 'string' } } })
const rounds = Number(flags.rounds ?? 3)
const keys = Number(flags.keys ?? 50_000)

async function fill({ seeds }: LocalCluster): Promise<void> {
  const client = new Cluster(seeds.map(({ host, port }) => ({ host, port })))
  const value = 'x'.repeat(100)
  for (let at = 0; at < keys; at += KEYS_AT_ONCE)
    await Promise.all(Array.from({ length: KEYS_AT_ONCE }, (_, n) => client.set(`key:${at + n}`, value)))
  client.disconnect()
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

async function theirs(cluster: LocalCluster): Promise<number> {
  const [from, to] = (await cluster.status()).nodes
  if (!from || !to) throw new Error('no nodes')
  const what = ['--cluster-from', from.id, '--cluster-to', to.id, '--cluster-slots', `${SLOTS}`]
  const args = ['--cluster', 'reshard', `${from.host}:${from.port}`, ...what, '--cluster-yes']
  return timed(() => promisify(execFile)('redis-cli', args, { maxBuffer: MOST_OUTPUT }))
}

async function ours({ seeds }: LocalCluster): Promise<number> {
  let moved = 'nothing'
  const ms = await timed(async () => {
    const report = await (await planRebalance(seeds)).run()
    moved = `${report.slots} slots, ${report.keys} keys`
  })
  console.log(`rebalance: ${moved}`)
  return ms
}

const median = (values: readonly number[]) =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) / 2)] ?? 0
const told = (name: string, values: readonly number[]) =>
  console.log(
    `${name}: median ${median(values).toFixed(0)} ms (${values.map((value) => value.toFixed(0)).join(', ')})`,
  )

const folder = await mkdtemp(join(tmpdir(), 'shardq-slots-'))
const cluster = await startCluster({
  ports: await freePorts(3),
  replicasPerMaster: 0,
  dataDir: join(folder, 'cluster'),
})
try {
  await fill(cluster)
  const found: { theirs: number; ours: number }[] = []
  for (let round = 0; round < rounds; round++) {
    const theirMs = await theirs(cluster)
    await cluster.waitUntilReady({ writes: false })
    found.push({ theirs: theirMs, ours: await ours(cluster) })
  }
  const both = [found.map((each) => each.theirs), found.map((each) => each.ours)] as const
  told('redis-cli --cluster reshard', both[0])
  told('rebalance', both[1])
  console.log(`redis-cli takes ${(median(both[0]) / median(both[1])).toFixed(1)} times as long`)
} finally {
  await cluster.stop({ remove: true })
  await rm(folder, { recursive: true, force: true })
}
