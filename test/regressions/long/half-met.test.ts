import { expect, it } from 'vitest'
import { addNodes, NodeRefusedError } from '../../../src/cluster/index.js'
import { forgetEverywhere } from '../../../src/cluster/membership/forget.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

it('a server that knows nodes of this cluster alone, and that none of them knows, is no node of another cluster', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const [server, stranger] = await bareServers(2, { settings: { 'cluster-node-timeout': '1000' } })
  if (!server || !stranger) throw new Error('no servers')
  const [added] = (await addNodes(cluster.seeds, [server])).added
  const node = { ...server, id: added?.id ?? '' }
  // As when it dies after it was told of one of them, and before that one has heard of it.
  await forgetEverywhere(cluster.seeds, node, {})
  expect(await tell(server.port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:4')
  expect((await addNodes(cluster.seeds, [server])).added).toMatchObject([{ id: node.id }])
  await until(
    'all know it',
    () => Promise.all(cluster.seeds.map(({ port }) => tell(port, 'CLUSTER', 'NODES'))),
    (views) => views.every((view) => view.includes(node.id)),
  )

  await forgetEverywhere(cluster.seeds, node, {})
  await tell(server.port, 'CLUSTER', 'MEET', stranger.host, stranger.port)
  await until(
    'it knows the stranger',
    () => tell(server.port, 'CLUSTER', 'INFO'),
    (info) => info.includes('cluster_known_nodes:5'),
  )
  await expect(addNodes(cluster.seeds, [server])).rejects.toThrow(NodeRefusedError)
}, 60_000)
