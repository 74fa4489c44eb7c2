import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readManifest } from '../../src/cluster/data-dir.js'
import {
  type Address,
  addNodes,
  backupCluster,
  ensureServer,
  freePorts,
  type LocalCluster,
  nameOf,
  planRemoval,
  withOperation,
} from '../../src/cluster/index.js'
import { startNode } from '../../src/cluster/node.js'
import { isPortFree } from '../../src/cluster/ports.js'
import { bareServers, openBareServers } from '../helpers/bare-servers.js'
import { type CliResult, shardq } from '../helpers/cli.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { type LoadReport, steadyLoad } from '../helpers/steady-load.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'

const RATE = 500
const SEED = 7

const run = async (cluster: LocalCluster, args: readonly string[], onSpawn?: Killer) =>
  shardq(['cluster', ...args, '--data-dir', cluster.dataDir, '--json'], onSpawn ? { onSpawn } : {})
type Killer = NonNullable<Parameters<typeof shardq>[1]>['onSpawn']

const succeeded = ({ code, stdout, stderr }: CliResult) => {
  expect({ code, stderr, said: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', said: '' })
  return JSON.parse(stdout)
}

async function expectWell(cluster: LocalCluster, nodes: number): Promise<void> {
  const check = succeeded(await run(cluster, ['check']))
  expect(check.findings).toEqual([])
  expect(check.nodes).toHaveLength(nodes)
}

it('servers that run elsewhere: who joins as what, who is refused, and where replicas go when their master leaves', async () => {
  const cluster = await ownCluster()
  const [master, replica, second] = (await bareServers(3, {
    settings: { 'cluster-node-timeout': '1000' },
  })) as [Address, Address, Address]
  const add = (node: Address, replicaOf?: string) =>
    addNodes(cluster.seeds, [{ ...node, ...(replicaOf === undefined ? {} : { replicaOf }) }])

  const [full] = (await bareServers(1)) as [Address]
  await tell(full.port, 'CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
  await until(
    'it serves',
    () => tell(full.port, 'CLUSTER', 'INFO'),
    (info) => info.includes('cluster_state:ok'),
  )
  await tell(full.port, 'SET', 'a', 1)
  await expect(add(full)).rejects.toThrow(/owns slots.*has 1 key/s)
  const [locked] = (await bareServers(1, { password: 'wonderland' })) as [Address]
  await expect(add(locked)).rejects.toThrow(/password/)
  await expect(addNodes(cluster.seeds, [{ ...locked }], { password: 'looking-glass' })).rejects.toThrow()
  const twin = await twinOf(cluster)
  await expect(add(twin)).rejects.toThrow(/has the id of .*copy of its nodes.conf/)
  await expect(add(second, '127.0.0.1:1')).rejects.toThrow(/no master/)
  await expectWell(cluster, 6)

  const { added, warnings } = await add(master)
  expect(added).toMatchObject([{ node: nameOf(master), replicaOf: null }])
  expect(warnings.join()).toContain('has no replica')
  expect(await add(replica, nameOf(master))).toMatchObject({ added: [{ replicaOf: nameOf(master) }] })
  expect(await add(second, 'auto')).toMatchObject({ added: [{ node: nameOf(second) }] })
  // Once more is nothing more.
  expect(await add(second, 'auto')).toMatchObject({ added: [{ node: nameOf(second) }] })
  await expectWell(cluster, 9)

  succeeded(await run(cluster, ['rebalance', '--yes']))
  const plan = await planRemoval(cluster.seeds, nameOf(master))
  expect(plan.rehomes.map(({ replica }) => replica)).toContain(nameOf(replica))
  expect(await plan.run()).toMatchObject({ removed: [nameOf(master)], left: [] })
  await expectWell(cluster, 8)
  for (const node of [replica, second])
    expect(await (await planRemoval(cluster.seeds, nameOf(node))).run()).toMatchObject({ left: [] })
  await expectWell(cluster, 6)
  for (const { port } of [master, replica, second])
    expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:1')
})

/**
 * A server with the id of a master, as one has that was started on a copy of its nodes.conf; of that the first line alone, for with
 * the others it would tear the cluster apart.
 */
async function twinOf(cluster: LocalCluster): Promise<Address> {
  const { nodes, folder, dispose } = await openBareServers(1)
  onTestFinished(dispose)
  const [node] = nodes as [Address]
  const dir = join(folder, `node_${node.port}`)
  const conf = await readFile(join(cluster.nodes[0]?.dir ?? '', 'nodes.conf'), 'utf8')
  const [id] =
    conf
      .split('\n')
      .find((line) => line.includes('myself'))
      ?.split(' ') ?? []
  await tell(node.port, 'SHUTDOWN', 'NOSAVE', 'NOW').catch(() => {})
  const own = `${id} 127.0.0.1:${node.port}@${node.port + 10_000} myself,master - 0 0 0 connected`
  await writeFile(join(dir, 'nodes.conf'), `${own}\nvars currentEpoch 0 lastVoteEpoch 0\n`)
  await until('its port is free', () => isPortFree(node.port), Boolean)
  await startNode(await ensureServer(), { port: node.port, dir, access: {} })
  return node
}

it.each(['SIGINT', 'SIGKILL'] as const)(
  'add-node and remove-node, cut off by %s at three moments each, and done again to the end',
  async (signal) => {
    const cluster = await ownCluster()
    const load = await steadyLoad(cluster.connection, { rate: RATE })
    let state = SEED
    const random = () => {
      state = (state * 48_271) % 2_147_483_647
      return state / 2_147_483_647
    }
    const rows: string[] = []
    const cut = async (args: readonly string[], withinMs: number) => {
      const afterMs = random() * withinMs
      const result = await run(cluster, args, (child) => void setTimeout(() => child.kill(signal), afterMs))
      rows.push(`${args[0]} ${signal} after ${afterMs.toFixed(0)} ms: ${result.code}`)
      return result
    }
    for (let round = 0; round < 3; round++) {
      const add = ['add-node', '--rebalance']
      const had = (await readManifest(cluster.dataDir))?.ports ?? []
      const first = await cut(add, 4_000)
      let manifest = await readManifest(cluster.dataDir)
      // Cut off once they are in, what is left to do is to move slots to them.
      if (first.code === 0 || (manifest?.ports.length ?? 0) > had.length)
        succeeded(await run(cluster, ['rebalance', '--yes']))
      else succeeded(await run(cluster, add))
      await expectWell(cluster, 8)

      manifest = await readManifest(cluster.dataDir)
      const fresh = manifest?.ports.filter((port) => !had.includes(port)) ?? []
      expect(fresh).toHaveLength(2)
      const remove = ['remove-node', `127.0.0.1:${fresh[0]}`, '--with-replicas', '--yes']
      await cut(remove, 4_000)
      const { ports = [], unsettled } = (await readManifest(cluster.dataDir)) ?? {}
      if (ports.length > had.length || unsettled) succeeded(await run(cluster, remove))
      expect((await readManifest(cluster.dataDir))?.ports).toEqual(had)
      await expectWell(cluster, 6)
    }
    const report: LoadReport = await load.stop()
    console.log(rows.join('\n'), report)
    expect(report).toMatchObject({ lost: 0, rejected: 0 })
  },
)

it('the lock and a backup, of nodes that announce what cannot be reached from here', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const fakes = await freePorts(cluster.seeds.length)
  const natMap = Object.fromEntries(
    fakes.map((port, i) => [`127.0.0.1:${port}`, cluster.seeds[i] as Address]),
  )
  for (const [i, { port }] of cluster.seeds.entries())
    await tell(port, 'CONFIG', 'SET', 'cluster-announce-port', fakes[i] ?? 0)
  for (const { port } of cluster.seeds)
    await until(
      'all announce it',
      () => tell(port, 'CLUSTER', 'NODES'),
      (nodes) => fakes.every((fake) => nodes.includes(`:${fake}@`)),
    )
  // The lock, whoever is asked first, and so by way of MOVED.
  for (const seed of cluster.seeds) {
    const held = withOperation([seed], { natMap }, { name: 'backup' }, undefined, async () => 'held')
    expect(await held).toBe('held')
  }
  const { manifest } = await backupCluster(cluster.seeds, join(await tempDir(), 'backup'), { natMap })
  expect(manifest.shards).toHaveLength(3)
})
