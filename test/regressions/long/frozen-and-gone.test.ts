import { expect, it } from 'vitest'
import { nameOf, planFix } from '../../../src/cluster/index.js'
import { Nodes } from '../../../src/cluster/move/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

it('a link to a node that stood still is closed: it kept the process of a rebalance from ending', async () => {
  const cluster = await ownCluster()
  const node = (await cluster.status()).nodes.find(({ role }) => role === 'replica')
  if (!node) throw new Error('no replica')
  const count = async () =>
    (await tell(node.port, 'CLIENT', 'LIST', 'TYPE', 'normal')).trim().split('\n').length
  const before = await count()
  const nodes = new Nodes({})
  await nodes.viewAnew(node)
  await cluster.freezeNode(node.port)
  await expect(nodes.viewAnew(node)).rejects.toThrow(nameOf(node))
  await cluster.resumeNode(node.port)
  await nodes.close()
  expect(await count()).toBe(before)
}, 60_000)

it('fix --forget of more masters than can be outvoted: nobody waits for those that are given up', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const [living, ...gone] = (await cluster.status()).nodes
  if (!living) throw new Error('no node')
  for (const { port } of gone) await cluster.killNode(port)
  const seeds = [{ host: living.host, port: living.port }]
  // Until then it may give a lock that nobody can renew.
  await eventually(async () => {
    expect(await tell(living.port, 'CLUSTER', 'INFO')).toContain('cluster_state:fail')
  }, 15_000)
  // One alone never counts another as failed.
  const forget = gone.map(({ id }) => id)
  const fix = await planFix(seeds, { forget, agreeMs: 2_000, onUnlocked: () => {} })
  expect(await fix.run()).toMatchObject({ left: [], agreed: true })
  expect((await (await planFix(seeds)).run()).left).toEqual([])
  expect(await tell(living.port, 'CLUSTER', 'INFO')).toContain('cluster_slots_assigned:16384')
}, 60_000)
