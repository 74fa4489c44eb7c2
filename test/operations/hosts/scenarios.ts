import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CreatedCluster, CreatePlan, HostRules } from '../../../src/cluster/index.js'
import { type Address, inspect, nameOf } from '../../../src/cluster/index.js'
import { isListening } from '../../../src/cluster/ports.js'
import { type CliResult, shardq } from '../../helpers/cli.js'
import { HUB_ADDRESS } from '../../helpers/netns.js'
import { NetnsCluster } from '../../helpers/netns-cluster.js'
import { until } from '../../helpers/until.js'
import { newAddresses } from './new-addresses.js'
import { partition } from './partition.js'

// The drill sends a server to sleep.
const SETTINGS = { 'cluster-node-timeout': '1000', 'enable-debug-command': 'yes', bind: '0.0.0.0' }

/** By name, as arguments of `main.ts`. */
export const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  'new-addresses': newAddresses,
  'partition-1-replica': () => partition(1, 'all'),
  'partition-2-replicas': () => partition(2, 'all'),
  'partition-3-replicas': () => partition(3, 'all'),
  'partition-2-replicas-confirm-1': () => partition(2, 1),
  /** Six hosts with a node each: made by the command, closed to strangers, one cut off, its replica takes over, it comes back. */
  'six-hosts': () =>
    withServers([[7000], [7000], [7000], [7000], [7000], [7000]], async (servers) => {
      const { status, readyMs, shortcomings } = await create(servers.seeds)
      say(`created in ${readyMs} ms`)
      assert.deepEqual(shortcomings, [])
      await closeToStrangers(servers)
      await survivesLossOf(servers, [(status.nodes.find(({ role }) => role === 'master') as Address).host])
    }),

  /** Three hosts with two nodes each, named so that pairing them in turn would put master and replica together. */
  'three-hosts': () =>
    withServers(
      [
        [7000, 7001],
        [7000, 7001],
        [7000, 7001],
      ],
      async (servers) => {
        const { nodes, shortcomings, status } = await create(servers.seeds)
        assert.deepEqual(shortcomings, [])
        const masters = nodes.filter(({ role }) => role === 'master')
        assert.equal(new Set(masters.map(({ host }) => host)).size, 3)
        for (const { id, host } of status.nodes.filter(({ role }) => role === 'master'))
          for (const replica of status.nodes.filter(({ masterId }) => masterId === id))
            assert.notEqual(replica.host, host)
        await survivesLossOf(servers, [masters[0]?.host ?? ''])
      },
    ),

  /** Announced addresses cannot be reached from here at all; by natMap the tools and a drill under load can do all they do. */
  translated: () =>
    withServers([[7000], [7000], [7000], [7000], [7000], [7000]], async ({ seeds, network }) => {
      await create(seeds)
      const outside = await network.translate()
      assert.equal(await isListening(7000, seeds[0]?.host, 300), false)
      const map = seeds.map(({ host, port }) => [`${host}:${port}`, `${outside.get(host)}:${port}`])
      const env = {
        SHARDQ_REDIS_NODES: map.map(([, to]) => to).join(),
        SHARDQ_REDIS_NAT_MAP: map.map((pair) => pair.join('=')).join(),
      }
      const command = async (...args: string[]) => {
        const { code, stdout, stderr } = await shardq(['cluster', ...args, '--json'], { env })
        assert.equal(code, 0, `${args.join(' ')}: ${stdout}${stderr}`)
        return JSON.parse(stdout) as Record<string, unknown>
      }
      assert.equal((await command('status')).answered, 6)
      assert.equal((await command('check')).ok, true)
      assert.deepEqual((await command('fix', '--dry-run')).steps, [])
      for (const kind of ['failover', 'freeze']) {
        const { ledger, load } = (await command('drill', '--kind', kind, '--yes')) as {
          readonly ledger: { readonly lost: readonly unknown[] }
          readonly load: { readonly acknowledged: number }
        }
        say(`drill ${kind}: ${load.acknowledged} tasks acknowledged, ${ledger.lost.length} lost`)
      }
    }),

  /** From one host to another the bus port is closed, which no look from a third place can show. */
  'closed-bus': () =>
    withServers([[7000], [7000], [7000]], async ({ seeds, network }) => {
      const [first, second] = seeds as [Address, Address]
      const rule = ['blackhole', 'to', second.host, 'ipproto', 'tcp', 'dport', '17000']
      await network.ip(first.host, 'rule', 'add', ...rule)
      const refused = await run(seeds, '--replicas-per-master', '0', '--timeout-ms', '2500')
      assert.equal(refused.code, 1)
      const { error } = JSON.parse(refused.stdout) as { error: { message: string; left: string[] } }
      say(error.message)
      assert.match(
        error.message,
        /10\.77\.0\.1:7000 does not get through to the bus port of 10\.77\.0\.2:7000, 17000/,
      )
      assert.doesNotMatch(error.message, /10\.77\.0\.3/)
      assert.deepEqual(error.left, [])

      await network.ip(first.host, 'rule', 'del', ...rule)
      await create(seeds, '--replicas-per-master', '0')
    }),
}

const say = (line: string) => void process.stdout.write(`${line}\n`)

async function withServers(
  hosts: readonly (readonly number[])[],
  use: (servers: NetnsCluster) => Promise<void>,
): Promise<void> {
  const servers = await NetnsCluster.startServers(hosts, SETTINGS)
  try {
    await use(servers)
  } finally {
    await servers.dispose()
  }
}

function run(nodes: readonly Address[], ...flags: string[]): Promise<CliResult> {
  return shardq(['cluster', 'create', '--nodes', nodes.map(nameOf).join(), '--yes', '--json', ...flags])
}

async function create(nodes: readonly Address[], ...flags: string[]): Promise<CreatePlan & CreatedCluster> {
  const { code, stdout, stderr } = await run(nodes, ...flags)
  assert.equal(code, 0, `${stdout}${stderr}`)
  return JSON.parse(stdout) as CreatePlan & CreatedCluster
}

/** Loads what `cluster firewall` prints, and tries who gets through: nodes everywhere, clients to client ports, others nowhere. */
async function closeToStrangers({ network, seeds }: NetnsCluster): Promise<void> {
  const printed = await shardq([
    ...['cluster', 'firewall', '--node', nameOf(seeds[0] as Address), '--json'],
    ...['--clients', HUB_ADDRESS],
  ])
  assert.equal(printed.code, 0, printed.stderr)
  const { hosts } = JSON.parse(printed.stdout) as { hosts: HostRules[] }
  assert.deepEqual(hosts.map(({ host }) => host).sort(), seeds.map(({ host }) => host).sort())
  if (!(await canRun('nft'))) return say('THE RULES WERE NOT LOADED: nft IS NEEDED (Debian package nftables)')
  const folder = await mkdtemp(join(tmpdir(), 'shardq-rules-'))
  try {
    for (const { host, text } of hosts) {
      const file = join(folder, host)
      await writeFile(file, text)
      await network.run(host, 'nft', '-c', '-f', file)
      // Twice, for it is to replace itself.
      for (let time = 0; time < 2; time++) await network.run(host, 'nft', '-f', file)
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  const stranger = await network.addHost()
  const [target, other] = seeds as [Address, Address]
  const knock = (from: string, port: number) =>
    network.run(from, 'timeout', '0.3', 'bash', '-c', `</dev/tcp/${target.host}/${port}`).then(
      () => true,
      () => false,
    )
  assert.deepEqual(
    {
      client: [await isListening(7000, target.host, 300), await isListening(17_000, target.host, 300)],
      node: [await knock(other.host, 7000), await knock(other.host, 17_000)],
      stranger: [await knock(stranger.address, 7000), await knock(stranger.address, 17_000)],
    },
    { client: [true, false], node: [true, true], stranger: [false, false] },
  )
  say('the rules let nodes through, clients to client ports, and nobody else')
}

const canRun = (program: string) =>
  promisify(execFile)(program, ['--version']).then(
    () => true,
    () => false,
  )

/** Pulls the cable of a host, waits until all slots are served without it, and until all is whole with it again. */
async function survivesLossOf(servers: NetnsCluster, [host = '']: readonly string[]): Promise<void> {
  const survivor = servers.seeds.find((seed) => seed.host !== host) as Address
  await servers.network.cut(host)
  await until(
    `the replicas of ${host} take over`,
    async () => (await inspect(survivor)).nodes,
    (nodes) =>
      nodes
        .filter(({ role, slots }) => role === 'master' && slots.length > 0)
        .every((master) => master.host !== host && !master.flags.includes('fail')),
  )
  say(`${host} was cut off, and its replicas serve`)
  await servers.network.mend(host)
  await servers.waitUntilReady({ timeoutMs: 20_000 })
  say(`${host} is back, and all agree`)
}
