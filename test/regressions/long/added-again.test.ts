import { expect, it, onTestFinished } from 'vitest'
import { addNodes, nameOf } from '../../../src/cluster/index.js'
import { openBareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** An add-node that was cut off is typed again, and its replica has taken over meanwhile: it was told to give its slots away. */
it('add-node, typed again after a failover, takes the two the other way round', async () => {
  const cluster = await ownCluster()
  const { nodes, dispose } = await openBareServers(2)
  onTestFinished(dispose)
  const [master, replica] = nodes
  if (!master || !replica) throw new Error('no servers')
  const id = await tell(master.port, 'CLUSTER', 'MYID')
  const list = [master, { ...replica, replicaOf: nameOf(master) }]
  const rebalance = { weights: { [id]: 0.1 } }
  await addNodes(cluster.seeds, list, { rebalance })
  await eventually(async () => expect(await tell(replica.port, 'CLUSTER', 'FAILOVER')).toBe('OK'), 10_000)
  await eventually(async () => expect(await tell(replica.port, 'ROLE')).toMatch(/^master/), 10_000)
  await eventually(async () => expect(await tell(master.port, 'ROLE')).toMatch(/connected/), 10_000)

  const { added, warnings } = await addNodes(cluster.seeds, list)
  expect(added).toMatchObject([
    { node: nameOf(master), replicaOf: nameOf(replica) },
    { node: nameOf(replica), replicaOf: null },
  ])
  expect(warnings.filter((each) => each.includes('has no replica'))).toEqual([])
  expect(await tell(replica.port, 'ROLE')).toMatch(/^master/)
}, 60_000)
