import { expect, it } from 'vitest'
import { planFix } from '../../src/cluster/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'

/**
 * A replica is down, and one operator is asked whether all others are to forget it. Another starts it again, and it takes its shard over.
 * Then the first one agrees: a master with a third of the slots was forgotten, and the views differed for good.
 */
it('a plan that has gone stale at the prompt forgets no node that is back', async () => {
  const cluster = await ownCluster()
  const { seeds } = cluster
  const { nodes } = await cluster.status()
  const replica = nodes.find(({ role }) => role === 'replica')
  const master = nodes.find(({ id }) => id === replica?.masterId)
  if (!replica || !master) throw new Error('no replica')
  await cluster.killNode(replica.port)
  const agreed = await planFix(seeds, { forget: [replica.id], agreeMs: 1_000 })
  expect(agreed.steps).toMatchObject([{ kind: 'forget', node: { id: replica.id } }])

  await cluster.restartNode(replica.port)
  await eventually(async () =>
    expect(await tell(replica.port, 'INFO', 'replication')).toContain('master_link_status:up'),
  )
  await tell(replica.port, 'CLUSTER', 'FAILOVER')
  await eventually(async () => expect(await tell(master.port, 'CLUSTER', 'NODES')).toContain('myself,slave'))
  await expect(agreed.run()).rejects.toThrow('a node that lives would be back at once')
  for (const { port } of nodes) expect(await tell(port, 'CLUSTER', 'NODES')).toContain(replica.id)
})
