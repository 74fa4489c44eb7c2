import { expect, it } from 'vitest'
import { resetAll } from '../../../src/cluster/create/reset.js'
import { createCluster, nameOf, planCreate } from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
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
  })
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
  expect(await resetAll(nodes, {})).toEqual(nodes.map(nameOf))
  for (const { port } of nodes) expect(await tell(port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:6')
})

it('a plan is refused when a server was made another node meanwhile', async () => {
  const nodes = await bareServers(3)
  const agreed = await planCreate({ nodes, replicasPerMaster: 0 })
  await tell(nodes[1]?.port ?? 0, 'CLUSTER', 'RESET', 'HARD')
  await expect(agreed.run()).rejects.toThrow(
    `${nameOf(nodes[1] ?? nodes[0] ?? { host: '', port: 0 })} is not as it was`,
  )
})
