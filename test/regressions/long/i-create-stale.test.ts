import type { ChildProcess } from 'node:child_process'
import { expect, it, onTestFinished } from 'vitest'
import { resetAll } from '../../../src/cluster/create/reset.js'
import { createCluster, nameOf, planCreate } from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'

/**
 * Servers that a `create` which was killed has left. One operator has the plan on their screen, which resets them first. Another makes the
 * cluster, and it takes writes. Then the first one agrees: five of six nodes were reset, with all replicas and what they had.
 */
it('a plan that has gone stale at the prompt resets no node of a cluster that lives', async () => {
  const nodes = await bareServers(6)
  const [first] = nodes
  if (!first) throw new Error('no servers')
  for (const { host, port } of nodes) await tell(first.port, 'CLUSTER', 'MEET', host, port, port + 10_000)
  await eventually(async () => {
    for (const { port } of nodes) expect(await tell(port, 'CLUSTER', 'INFO')).toContain('known_nodes:6')
  }, 20_000)
  const agreed = await planCreate({ nodes, reset: true })
  expect([...agreed.resets].sort()).toEqual(nodes.map(nameOf).sort())

  const { status } = await createCluster({ nodes, reset: true })
  const key = 'order'
  const slot = Number(await tell(first.port, 'CLUSTER', 'KEYSLOT', key))
  const home = status.nodes.find(
    ({ role, slots }) => role === 'master' && slots.some(([from, to]) => from <= slot && slot <= to),
  )
  if (!home) throw new Error('no owner')
  await tell(home.port, 'SET', key, 'paid')

  await expect(agreed.run()).rejects.toThrow('is in a cluster already')
  for (const { port } of nodes) {
    expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:6')
    expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
  }
  expect(await tell(home.port, 'GET', key)).toBe('paid')

  // The step itself asks before it resets: also a change in the last moment harms nobody, replicas least of all.
  const all = nodes.map(nameOf)
  const own = new Map(status.nodes.map(({ id }) => [id, { maySlots: true }]))
  expect(await resetAll(nodes, own, {})).toEqual({ left: all, taken: all })
  for (const { port } of nodes) expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:6')
})

/**
 * One that stood still while it waited for the nodes ran on, into its time limit, and took back what it had done: it reset a cluster that another
 * `create` had reported ready meanwhile.
 */
it('a create that stood still leaves the cluster that another one has made of its servers', async () => {
  const nodes = await bareServers(6)
  let process: ChildProcess | undefined
  const args = ['cluster', 'create', '--nodes', nodes.map(nameOf).join(), '--yes', '--reset', '--json']
  const slower = shardq(args, { onSpawn: (child) => (process = child) })
  onTestFinished(() => void process?.kill('SIGKILL'))
  // It waits for the masters to serve by then, and has nothing under way.
  await eventually(async () => {
    for (const { port } of nodes)
      expect((await tell(port, 'CLUSTER', 'NODES')).match(/slave .* connected/g)).toHaveLength(3)
  }, 20_000)
  process?.kill('SIGSTOP')

  const { status } = await createCluster({ nodes, reset: true })
  process?.kill('SIGCONT')
  const { code, stdout } = await slower
  for (const { port } of nodes) {
    expect(await tell(port, 'CLUSTER', 'INFO')).toMatch(/cluster_state:ok.*cluster_known_nodes:6/s)
    expect(status.nodes.map(({ id }) => id)).toContain(await tell(port, 'CLUSTER', 'MYID'))
  }
  expect(code).toBe(1)
  const { error } = JSON.parse(stdout)
  expect([...error.taken].sort()).toEqual(nodes.map(nameOf).sort())
  expect(error.message).toMatch(/stood still for .* left as they are.* shardq cluster status --node/)
})

it('nodes are reset only while they are what was made of them', async () => {
  const nodes = await bareServers(3)
  const { status } = await createCluster({ nodes, replicasPerMaster: 0 })
  const ids = status.nodes.map(({ id }) => id)
  const all = nodes.map(nameOf)
  const ownIds = (noted: readonly string[], maySlots = true) => new Map(noted.map((id) => [id, { maySlots }]))
  // Not the ids that they have, one more than was noted, and slots that were not ours.
  for (const own of [new Map(), ownIds(ids.slice(1)), ownIds(ids, false)]) {
    expect(await resetAll(nodes, own, {})).toEqual({ left: all, taken: all })
    for (const { port } of nodes) expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
  }
  expect(await resetAll(nodes, ownIds(ids), {})).toEqual({ left: [], taken: [] })
  for (const { port } of nodes) expect(ids).not.toContain(await tell(port, 'CLUSTER', 'MYID'))
})

it('a plan is refused when a server was made another node meanwhile', async () => {
  const nodes = await bareServers(3)
  const agreed = await planCreate({ nodes, replicasPerMaster: 0 })
  await tell(nodes[1]?.port ?? 0, 'CLUSTER', 'RESET', 'HARD')
  await expect(agreed.run()).rejects.toThrow(
    `${nameOf(nodes[1] ?? nodes[0] ?? { host: '', port: 0 })} is not as it was`,
  )
})
