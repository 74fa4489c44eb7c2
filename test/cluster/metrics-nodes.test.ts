import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Address, freePorts, type LocalCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { type Endpoint, type EndpointOptions, startEndpoint } from '../../src/metrics/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { Exposition } from '../helpers/exposition.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'

async function endpointOf(
  nodes: readonly Address[],
  options: Partial<EndpointOptions> = {},
): Promise<Endpoint> {
  const connection = { mode: 'cluster', nodes } as const
  const endpoint = await startEndpoint({ connection, port: 0, ...options })
  onTestFinished(() => endpoint.close())
  return endpoint
}

const command = (node: Address, ...words: [string, ...(string | number)[]]) =>
  withLink(node, {}, (link) => link.text(...words))

const nameOf = ({ host, port }: Address) => `${host}:${port}`

async function timed<T>(run: () => Promise<T>): Promise<[found: T, ms: number]> {
  const startedMs = performance.now()
  return [await run(), performance.now() - startedMs]
}

describe('a whole cluster', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>
  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster())
  })
  afterAll(() => dispose())

  test('from one seed: every node, as it is', async () => {
    const { url } = await endpointOf(cluster.seeds.slice(0, 1))
    const found = await Exposition.of(url)
    const names = [...cluster.nodes].sort((a, b) => a.port - b.port).map(nameOf)
    expect(found.all('redis_up').map(({ labels }) => labels.instance)).toEqual(names)
    expect(found.values('redis_up')).toEqual([1, 1, 1, 1, 1, 1])
    for (const node of cluster.nodes) {
      const instance = nameOf(node)
      const value = (name: string) => found.value(name, { instance })
      const role = node.role === 'master' ? 'master' : 'slave'
      expect(found.all('redis_instance_info', { instance })[0]?.labels).toMatchObject({
        role,
        redis_mode: 'cluster',
        maxmemory_policy: 'noeviction',
      })
      expect(value('redis_cluster_state')).toBe(1)
      expect(value('redis_cluster_enabled')).toBe(1)
      expect(value('redis_cluster_slots_assigned')).toBe(16_384)
      expect(value('redis_cluster_slots_ok')).toBe(16_384)
      expect(value('redis_cluster_known_nodes')).toBe(6)
      expect(value('redis_cluster_size')).toBe(3)
      expect(value('redis_connected_slaves')).toBe(role === 'master' ? 1 : 0)
      expect(value('redis_memory_used_bytes')).toBeGreaterThan(500_000)
      expect(value('redis_total_system_memory_bytes')).toBeGreaterThan(value('redis_memory_used_bytes') ?? 0)
      expect(value('redis_aof_enabled')).toBe(1)
      expect(value('redis_aof_last_write_status')).toBe(1)
      expect(value('redis_commands_processed_total')).toBeGreaterThan(0)
      expect(value('redis_db_keys')).toBeGreaterThanOrEqual(0)
      if (role === 'master') {
        expect(value('redis_connected_slave_lag_seconds')).toBeLessThanOrEqual(10)
        expect(value('redis_replication_lag_seconds')).toBe(undefined)
      } else {
        const labels = { instance, master_port: String(node.masterPort), master_host: '127.0.0.1' }
        expect(found.value('redis_master_link_up', labels)).toBe(1)
        expect(found.value('redis_slave_info', { ...labels, read_only: '1' })).toBe(1)
        expect(found.value('redis_master_sync_in_progress', labels)).toBe(0)
        expect(value('redis_replication_lag_seconds')).toBeLessThanOrEqual(10)
      }
    }
    const whole = (name: string) => found.value(`shardq_cluster_${name}`)
    expect([whole('masters'), whole('replicas'), whole('views'), whole('failed_nodes')]).toEqual([3, 3, 1, 0])
    expect([whole('slots_unassigned'), whole('open_slots')]).toEqual([0, 0])
    expect(found.values('shardq_scrape_errors_total')).toEqual([0, 0])
  })

  test('/healthz, /readyz, and nothing else', async () => {
    const { url } = await endpointOf(cluster.seeds.slice(0, 1))
    const answer = async (path: string) => {
      const response = await fetch(url + path)
      return [response.status, await response.text()]
    }
    expect(await answer('/healthz')).toEqual([200, 'ok\n'])
    expect(await answer('/readyz')).toEqual([200, '6 of 6 nodes answer\n'])
    expect((await answer('/secrets'))[0]).toBe(404)
    expect((await fetch(`${url}/metrics`)).headers.get('content-type')).toBe(
      'text/plain; version=0.0.4; charset=utf-8',
    )
  })

  test('a slot that is left open is counted', async () => {
    const [first, second] = cluster.nodes
    if (!first || !second) throw new Error('a cluster without nodes')
    const { url } = await endpointOf(cluster.seeds.slice(0, 1))
    await command(first, 'CLUSTER', 'SETSLOT', 7, 'MIGRATING', await command(second, 'CLUSTER', 'MYID'))
    try {
      expect((await Exposition.of(url)).value('shardq_cluster_open_slots')).toBe(1)
    } finally {
      await command(first, 'CLUSTER', 'SETSLOT', 7, 'STABLE')
    }
    expect((await Exposition.of(url)).value('shardq_cluster_open_slots')).toBe(0)
  })

  test('a frozen node costs the time-out, again and again, and the others are all there', async () => {
    const { url } = await endpointOf(cluster.seeds.slice(0, 1), { timeoutMs: 400 })
    await Exposition.of(url)
    const victim = cluster.nodes.find(({ role }) => role === 'replica')
    if (!victim) throw new Error('a cluster without replicas')
    await cluster.freezeNode(victim.port)
    try {
      for (let time = 0; time < 3; time++) {
        const [found, ms] = await timed(() => Exposition.of(url))
        expect(found.value('redis_up', { instance: nameOf(victim) })).toBe(0)
        expect(found.value('redis_up')).toBe(5)
        expect(found.value('shardq_cluster_failed_nodes')).toBe(1)
        // The rest is for a machine that is busy; the price is measured by the benchmark.
        expect(ms).toBeLessThan(2_000)
      }
    } finally {
      await cluster.resumeNode(victim.port)
    }
    await eventually(async () => expect((await Exposition.of(url)).value('redis_up')).toBe(6), 10_000)
  })

  test('a node that leaves is forgotten, one that joins is found', async () => {
    const leaving = cluster.nodes.at(-1)
    const [seed] = cluster.seeds
    if (!leaving || !seed) throw new Error('a cluster without nodes')
    const { url } = await endpointOf([seed])
    await Exposition.of(url)
    const id = await command(leaving, 'CLUSTER', 'MYID')
    for (const node of cluster.nodes)
      if (node.port !== leaving.port) await command(node, 'CLUSTER', 'FORGET', id)
    // With an id of its own anew: under the one that was forgotten nobody would take it back for a minute.
    await command(leaving, 'CLUSTER', 'RESET', 'HARD')
    const gone = await Exposition.of(url)
    expect(gone.all('redis_up', { instance: nameOf(leaving) })).toEqual([])
    expect(gone.values('redis_up')).toEqual([1, 1, 1, 1, 1])
    expect(gone.value('shardq_cluster_replicas')).toBe(2)
    for (const node of cluster.nodes)
      if (node.port !== leaving.port) await command(node, 'CLUSTER', 'MEET', leaving.host, leaving.port)
    await eventually(async () => {
      const back = await Exposition.of(url)
      expect(back.all('redis_up', { instance: nameOf(leaving) })).toMatchObject([{ value: 1 }])
    }, 10_000)
  })
})

test('a master that is killed is down, not gone; then its replica is master; then it is back', async () => {
  const cluster = await ownCluster()
  const [victim] = cluster.nodes
  if (!victim) throw new Error('a cluster without nodes')
  const instance = nameOf(victim)
  const { url } = await endpointOf(cluster.seeds.slice(1, 2), { timeoutMs: 500 })
  const epoch = (await Exposition.of(url)).values('redis_cluster_current_epoch')[1] ?? 0
  await cluster.killNode(victim.port)
  const [dead, ms] = await timed(() => Exposition.of(url))
  expect(ms).toBeLessThan(2_000)
  expect(dead.value('redis_up', { instance })).toBe(0)
  expect(dead.value('shardq_cluster_failed_nodes')).toBe(1)
  expect(dead.all('redis_uptime_in_seconds', { instance })).toEqual([])
  await eventually(async () => {
    const found = await Exposition.of(url)
    expect(found.all('redis_instance_info', { role: 'master' })).toHaveLength(3)
    expect(found.value('redis_up', { instance })).toBe(0)
    expect(found.value('shardq_cluster_masters')).toBe(3)
    expect(found.value('shardq_cluster_slots_unassigned')).toBe(0)
    expect(Math.max(...found.values('redis_cluster_current_epoch'))).toBeGreaterThan(epoch)
  }, 15_000)
  await cluster.restartNode(victim.port)
  await eventually(async () => {
    const found = await Exposition.of(url)
    expect(found.value('redis_instance_info', { instance, role: 'slave' })).toBe(1)
    expect(found.value('redis_up')).toBe(6)
    expect(found.value('shardq_cluster_failed_nodes')).toBe(0)
    expect(found.value('shardq_cluster_views')).toBe(1)
  }, 15_000)
})

test('where nobody answers it serves all the same: all are down, and it is not ready', async () => {
  const [port = 0] = await freePorts(1)
  const { url } = await endpointOf([{ host: '127.0.0.1', port }], { timeoutMs: 300 })
  const found = await Exposition.of(url)
  expect(found.all('redis_up')).toEqual([
    { name: 'redis_up', labels: { instance: `127.0.0.1:${port}` }, value: 0 },
  ])
  expect(found.value('shardq_cluster_failed_nodes')).toBe(1)
  expect(found.value('shardq_scrape_errors_total', { what: 'queues' })).toBe(1)
  const ready = await fetch(`${url}/readyz`)
  expect(ready.status).toBe(503)
  expect(await ready.text()).toContain(`127.0.0.1:${port}: `)
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
})
