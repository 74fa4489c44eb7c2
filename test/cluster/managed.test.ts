import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  type Address,
  type ClusterPicture,
  createCluster,
  freePorts,
  inspect,
  nameOf,
  Observer,
  pictureOf,
  planFix,
} from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { checkCluster } from '../../src/cluster.js'
import { type ClusterConnectionOptions, TaskQueue, Worker } from '../../src/index.js'
import { clusterCollector, queueCollector } from '../../src/metrics/index.js'
import { bareServers } from '../helpers/bare-servers.js'
import { type CliResult, shardq } from '../helpers/cli.js'
import { openCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

/** What a hosted service lets its customers do: everything with data, and to look at the cluster. */
const HOSTED = [
  ...['reset', 'on', '>guest', '~*', '&*', '+@all', '-@admin', '-@dangerous'],
  ...['+info', '+cluster|nodes', '+cluster|info', '+cluster|slots', '+cluster|shards', '+cluster|myid'],
]

/** One task through a queue and a worker. */
async function workThrough(connection: ClusterConnectionOptions, durability: 'async' | 'replicated') {
  const name = 'hosted'
  const done: unknown[] = []
  const worker = new Worker<{ add: { n: number } }>(
    name,
    { add: async ({ data }) => void done.push(data) },
    { connection },
  )
  const queue = new TaskQueue<{ add: { n: number } }>(name, { connection, durability })
  await Promise.all([queue.connect(), worker.start()])
  try {
    await queue.enqueue('add', { n: 1 })
    await queue.enqueue('add', { n: 2 }, { delayMs: 100, priority: 'high', idempotencyKey: 'two' })
    await until(
      'both are done',
      async () => done.length,
      (count) => count === 2,
    )
    expect((await queue.depth()).dead).toBe(0)
    expect(await queue.deadLetters.list({ limit: 1 })).toMatchObject({ items: [] })
    await queue.pause()
    await queue.resume()
    expect((await queue.health()).shards).toHaveLength(3)
  } finally {
    await worker.stop()
    await queue.disconnect()
  }
}

async function scrape(connection: ClusterConnectionOptions): Promise<string> {
  const registry = new Registry()
  const collectors = [clusterCollector({ connection, registry }), queueCollector({ connection, registry })]
  try {
    return await registry.metrics()
  } finally {
    await Promise.all(collectors.map((each) => each.close()))
  }
}

const errorIn = ({ stdout }: CliResult) =>
  (JSON.parse(stdout) as { error: { name: string; message: string } }).error

describe('a user who may administer nothing, as on hosted services', () => {
  let nodes: readonly Address[] = []
  let dispose: () => Promise<void>

  beforeAll(async () => {
    const own = await openCluster()
    dispose = own.dispose
    nodes = own.cluster.seeds
    for (const node of nodes)
      await withLink(node, {}, (link) => link.text('ACL', 'SETUSER', 'guest', ...HOSTED))
  })
  afterAll(() => dispose?.())

  const connection = (): ClusterConnectionOptions => ({
    ...{ mode: 'cluster', nodes, username: 'guest', password: 'guest' },
  })
  const run = (...args: string[]) =>
    shardq([...args, '--json'], {
      env: {
        SHARDQ_REDIS_NODES: nodes.map(nameOf).join(),
        SHARDQ_REDIS_USERNAME: 'guest',
        SHARDQ_REDIS_PASSWORD: 'guest',
      },
    })

  it('has queues, workers and metrics', async () => {
    await workThrough(connection(), 'replicated')
    const text = await scrape(connection())
    expect(text).toMatch(/^redis_cluster_state\{.*\} 1$/m)
    expect(text).not.toMatch(/^shardq_scrape_errors\S* [1-9]/m)
  })

  it('has the commands that look, which say what they could not look at', async () => {
    const status = await run('cluster', 'status')
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'ok', answered: 6, slotsOk: 16_384 })
    const check = await run('cluster', 'check')
    expect(check, check.stdout).toMatchObject({ code: 0 })
    const { findings, notes } = JSON.parse(check.stdout) as { findings: unknown[]; notes: string[] }
    expect(findings).toEqual([])
    for (const what of ['its settings (CONFIG GET)', 'its users (ACL LIST)'])
      expect(notes.join('\n')).toContain(what)
    expect(await run('queue', 'stats', 'hosted')).toMatchObject({ code: 0, stderr: '' })
  }, 30_000)

  it('is told early what cannot work, and why', async () => {
    for (const args of [
      ['cluster', 'fix', '--dry-run'],
      ['cluster', 'drill', '--kind', 'failover', '--yes'],
      ['cluster', 'drill', '--kind', 'kill', '--yes'],
    ]) {
      const refused = await run(...args)
      expect(refused.code, args.join(' ')).toBe(1)
      expect(errorIn(refused).name).toMatch(/AdministrationRefusedError/)
    }
    const create = await run('cluster', 'create', '--yes', '--nodes', nodes.map(nameOf).join())
    expect(errorIn(create).message).toContain('does not let us use CONFIG')
  }, 30_000)
})

/** Nodes announce ports at which nobody listens; behind those of the proxies they are reached. */
describe('nodes behind other addresses than they announce', () => {
  it('are reached by natMap, by the queue and by every tool', async () => {
    const nodes = await bareServers(3, { settings: { 'cluster-node-timeout': '1000' } })
    await createCluster({ nodes, replicasPerMaster: 0 })
    const natMap: Record<string, Address> = {}
    for (const node of nodes) {
      const [port = 0] = await freePorts(1)
      await withLink(node, {}, (link) => link.text('CONFIG', 'SET', 'cluster-announce-port', port))
      natMap[`127.0.0.1:${port}`] = await proxyTo(node)
    }
    const announced = Object.keys(natMap).sort()
    await until(
      'all know what is announced',
      () => Promise.all(nodes.map(async (node) => (await inspect(node)).nodes.map(nameOf).sort())),
      (views) => views.every((view) => view.join() === announced.join()),
    )
    const seeds = Object.values(natMap)
    const connection: ClusterConnectionOptions = { mode: 'cluster', nodes: seeds, natMap }

    const without = new Observer(seeds, { timeoutMs: 300 })
    onTestFinished(() => without.close())
    const unmapped = pictureOf(await without.observe())
    expect(unmapped.nodes.map(({ up }) => up)).not.toContain(true)

    await workThrough(connection, 'async')
    expect(await scrape(connection)).toMatch(new RegExp(`^redis_up\\{.*${announced[0]}.*\\} 1$`, 'm'))
    const report = await checkCluster(seeds, { natMap })
    expect(report.findings.filter(({ severity }) => severity === 'error')).toEqual([])

    const env = {
      SHARDQ_REDIS_NODES: seeds.map(nameOf).join(),
      SHARDQ_REDIS_NAT_MAP: Object.entries(natMap)
        .map(([from, to]) => `${from}=${nameOf(to)}`)
        .join(),
    }
    const status = await shardq(['cluster', 'status', '--json'], { env })
    const picture = JSON.parse(status.stdout) as ClusterPicture
    expect(picture).toMatchObject({ state: 'ok', answered: 3 })
    expect(picture.nodes.map(nameOf).sort()).toEqual(announced)

    await withLink(nodes[0] as Address, {}, async (link) => {
      const peer = await withLink(nodes[1] as Address, {}, (other) => other.text('CLUSTER', 'MYID'))
      const [slot = 0] =
        (await inspect(nodes[0] as Address)).nodes.find(({ myself }) => myself)?.slots[0] ?? []
      await link.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', peer)
    })
    const plan = await planFix(seeds, { natMap })
    expect(plan.steps).toHaveLength(1)
    expect(await plan.run()).toMatchObject({ left: [], openSlots: 0 })
  }, 30_000)
})

async function proxyTo({ host, port }: Address): Promise<Address> {
  const open = new Set<Socket>()
  const server: Server = createServer((incoming) => {
    const outgoing = dial(port, host)
    for (const [one, other] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      open.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
    }
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}
