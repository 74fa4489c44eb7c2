import { expect, it } from 'vitest'
import { addNodes, nameOf } from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { ownCluster } from '../../helpers/own-cluster.js'

it('a server is refused that is to follow one of the same list which is a replica already, and does not join', async () => {
  const cluster = await ownCluster()
  const [server] = await bareServers(1)
  const { nodes } = await cluster.status()
  const replica = nodes.find(({ role }) => role === 'replica')
  if (!server || !replica) throw new Error('no server, or no replica')
  // As somebody types again what made the two nodes, before a failover made the one the replica of the other.
  const list = [replica, { ...server, replicaOf: nameOf(replica) }]
  await expect(addNodes(cluster.seeds, list)).rejects.toThrow(
    `the cluster has no master ${nameOf(replica)}; see which it has with: shardq cluster status`,
  )
  expect((await cluster.status()).nodes).toHaveLength(nodes.length)
})

it('a master that serves slots is refused as a replica', async () => {
  const cluster = await ownCluster()
  const masters = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  const [one, other] = masters
  if (!one || !other) throw new Error('no two masters')
  for (const replicaOf of [nameOf(other), 'auto'])
    await expect(addNodes(cluster.seeds, [{ ...one, replicaOf }])).rejects.toThrow(
      `it is a master that owns slots, and no replica before it has given them away: shardq cluster rebalance --weight ${nameOf(one)}=0`,
    )
})
