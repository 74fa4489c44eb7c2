import { expect, inject, it } from 'vitest'
import { type Address, createCluster, inspect, nameOf, planCreate } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { bareServers } from '../helpers/bare-servers.js'
import { shardq } from '../helpers/cli.js'
import { until } from '../helpers/until.js'
import { onOwnHosts } from '../operations/hosts/run.js'

const listed = (nodes: readonly Address[]) => nodes.map(nameOf).join()

async function expectEmpty(nodes: readonly Address[]): Promise<void> {
  for (const node of nodes) {
    expect(await inspect(node)).toMatchObject({ knownNodes: 1, slotsAssigned: 0 })
    await withLink(node, {}, async (link) => {
      expect(await link.text('CONFIG', 'GET', 'cluster-node-timeout')).toBe('cluster-node-timeout,5000')
    })
  }
}

it('makes a cluster of servers that run, says what one machine is not, and does it once', async () => {
  const nodes = await bareServers(6)
  const dry = await shardq(['cluster', 'create', '--nodes', listed(nodes), '--dry-run'])
  expect(dry.stdout).toContain('A cluster of 3 masters and 3 replicas')
  expect(dry.stdout).toContain('not highly available')
  expect(dry.stdout).toContain('127.0.0.1 has 3 of 3 masters')
  await expectEmpty(nodes)

  const asked = await shardq(['cluster', 'create', '--nodes', listed(nodes)])
  expect(asked).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
  const stop = new AbortController()
  const plan = await planCreate({ nodes, signal: stop.signal })
  const running = plan.run()
  setTimeout(() => stop.abort(), 100)
  await expect(running).rejects.toThrow('was interrupted')
  await expectEmpty(nodes)

  const { status } = await createCluster({ nodes })
  expect(status).toMatchObject({ state: 'ok', slotsOk: 16_384, knownNodes: 6, size: 3 })
  for (const node of nodes)
    await withLink(node, {}, async (link) => {
      expect(await link.text('CONFIG', 'GET', 'cluster-node-timeout')).toBe('cluster-node-timeout,5000')
    })
  await expect(createCluster({ nodes })).rejects.toThrow('is in a cluster already')
  const again = await shardq(['cluster', 'create', '--if-missing', '--nodes', listed(nodes)])
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('one cluster already') })
}, 30_000)

it('refuses what cannot work before anything is changed', async () => {
  const [plain, locked] = await Promise.all([bareServers(2), bareServers(2, { password: 'wonderland' })])
  const single = new URL(inject('single').url)
  const [taken] = inject('cluster').nodes
  const [first, second] = plain as [Address, Address]
  const all = [
    ...[first, second, { host: 'localhost', port: second.port }, first],
    ...[{ host: single.hostname, port: Number(single.port) }, taken as Address],
    ...locked,
  ]
  const { code, stdout } = await shardq(
    ['cluster', 'create', '--nodes', listed(all), '--yes', '--json', '--replicas-per-master', '1'],
    { env: { SHARDQ_REDIS_PASSWORD: 'looking-glass' } },
  )
  expect(code).toBe(1)
  const { problems } = (JSON.parse(stdout) as { error: { problems: string[] } }).error
  for (const problem of [
    `localhost:${second.port} is the same server as ${nameOf(second)}`,
    `${nameOf(first)} is named twice`,
    `${single.host} has cluster-enabled no`,
    `${nameOf(locked[0] as Address)} refused the credentials`,
    'is in a cluster already',
  ])
    expect(problems.join('\n')).toContain(problem)
  expect(stdout).not.toMatch(/looking-glass|wonderland/)
  await expectEmpty(plain)

  const withPassword = createCluster({
    nodes: [...locked, first],
    replicasPerMaster: 0,
    password: 'wonderland',
  })
  await expect(withPassword).rejects.toThrow(`${nameOf(locked[0] as Address)} has no masterauth`)
  await expect(createCluster({ nodes: plain })).rejects.toThrow('name at least 6')
})

it('takes what a creation that was killed has left, if it is told to', async () => {
  const nodes = await bareServers(3)
  const [first, second] = nodes as [Address, Address]
  await withLink(first, {}, async (link) => {
    await link.text('CLUSTER', 'SET-CONFIG-EPOCH', 1)
    await link.text('CLUSTER', 'ADDSLOTSRANGE', 0, 5_460)
    await link.text('CLUSTER', 'MEET', second.host, second.port)
  })
  await until(
    'they have met',
    () => inspect(second),
    ({ knownNodes }) => knownNodes === 2,
  )
  const options = { nodes, replicasPerMaster: 0 }
  await expect(createCluster(options)).rejects.toThrow(/is in a cluster already.* to begin anew, --reset/)
  const { resets } = await planCreate({ ...options, reset: true })
  expect(resets).toContain(nameOf(first))
  const { status } = await createCluster({ ...options, reset: true })
  expect(status).toMatchObject({ state: 'ok', knownNodes: 3, size: 3 })
}, 30_000)

/** Six nodes with addresses of their own; what takes longer is in test/operations/hosts.test.ts. */
it('on six hosts: made, one host cut off, its replica takes over, all whole again', async () => {
  expect(await onOwnHosts('six-hosts')).toMatch(/is back, and all agree|NOT RUN/)
}, 60_000)
