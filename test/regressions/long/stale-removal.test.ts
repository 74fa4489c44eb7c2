import { expect, it } from 'vitest'
import {
  addNodes,
  type LocalCluster,
  NodeNotEmptyError,
  NodeRefusedError,
  nameOf,
  PlanChangedError,
  planFix,
  planRemoval,
  planRolling,
} from '../../../src/cluster/index.js'
import { forgetEverywhere } from '../../../src/cluster/membership/forget.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell, tellAll, unlessUnassigned } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

/** What every node counts: of a master that was forgotten, the others would miss the slots. */
const assigned = (cluster: LocalCluster) =>
  Promise.all(
    cluster.seeds.map(
      async ({ port }) => /slots_assigned:(\d+)/.exec(await tell(port, 'CLUSTER', 'INFO'))?.[1],
    ),
  )

it('a replica that was to leave with its master, and has taken its place since, is not removed', async () => {
  const cluster = await ownCluster({ masters: 4 })
  const all = cluster.seeds.map(() => '16384')
  const { nodes } = await cluster.status()
  const master = nodes.find(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  if (!master || !replica) throw new Error('no shard')
  const plan = await planRemoval(cluster.seeds, master.id, { withReplicas: true })
  await tell(replica.port, 'CLUSTER', 'FAILOVER')
  await until(
    'it is a master',
    () => tell(replica.port, 'CLUSTER', 'NODES'),
    (view) => view.includes('myself,master'),
  )
  await expect(plan.run()).rejects.toThrow(PlanChangedError)
  // It is the only replica of the other one by now.
  await expect(plan.run({ evenIfChanged: true })).rejects.toThrow(NodeRefusedError)
  // Even where the look came before the promotion.
  const others = cluster.seeds.filter(({ port }) => port !== replica.port)
  await expect(forgetEverywhere(others, replica, {})).rejects.toThrow('owner of slots')
  expect(await assigned(cluster)).toEqual(all)
}, 60_000)

it('what has to be mended first is shown, and nothing is mended that was not', async () => {
  const cluster = await ownCluster({ masters: 4, replicasPerMaster: 0 })
  const { nodes } = await cluster.status()
  const [leaving, other] = nodes
  if (!leaving || !other) throw new Error('no two masters')
  const plan = await planRemoval(cluster.seeds, leaving.id, { leaveUnprotected: true })
  expect(plan.moves?.mends).toEqual([])
  const slot = (other.slots[0]?.[0] ?? 0) + 7
  const without = cluster.seeds.map(() => '16383')
  // One that has forgotten it may hear of it once more, from what its owner had sent just before.
  await eventually(async () => {
    for (const { port } of [other, ...cluster.seeds])
      await tell(port, 'CLUSTER', 'DELSLOTS', slot).catch(unlessUnassigned)
    expect(await assigned(cluster)).toEqual(without)
  }, 10_000)
  await expect(plan.run()).rejects.toThrow(PlanChangedError)
  expect(await assigned(cluster)).toEqual(without)
  const again = await planRemoval(cluster.seeds, leaving.id, { leaveUnprotected: true })
  expect(again.moves?.mends).toMatchObject([{ kind: 'assign', slots: [slot] }])
}, 60_000)

it('a node to which keys have come back is not forgotten, and what its owner lacks is brought home first', async () => {
  const cluster = await ownCluster({ masters: 4, replicasPerMaster: 0 })
  const [leaving, other] = (await cluster.status()).nodes
  const slot = other?.slots[0]?.[0]
  if (!leaving || !other || slot === undefined) throw new Error('no two masters')
  const key = `{${tagForSlot(slot)}}back`
  const comesBack = async () => {
    await tell(leaving.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', other.id)
    await tellAll(leaving.port, [['ASKING'], ['SET', key, 'v']])
    await tell(leaving.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
  }
  const remove = async (seeds = cluster.seeds, onEmpty = async () => {}) =>
    (await planRemoval(seeds, nameOf(leaving), { leaveUnprotected: true, onEmpty })).run()
  await expect(remove(cluster.seeds, comesBack)).rejects.toThrow(NodeNotEmptyError)
  expect(await tell(other.port, 'CLUSTER', 'NODES')).toContain(leaving.id)
  expect(await (await planFix(cluster.seeds)).run()).toMatchObject({ left: [] })
  expect(await tell(other.port, 'GET', key)).toBe('v')

  // The same, when all have forgotten it already.
  const staying = cluster.seeds.filter(({ port }) => port !== leaving.port)
  await forgetEverywhere(staying, leaving, {})
  await comesBack()
  const problem = await remove(staying).catch((error: Error) => error)
  expect(problem).toBeInstanceOf(NodeNotEmptyError)
  expect(String(problem)).toContain(`such as ${key}; all others have forgotten it`)
  await tell(leaving.port, 'FLUSHALL')
  expect(await remove(staying)).toEqual({ removed: [nameOf(leaving)], left: [] })
  expect(await tell(leaving.port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:1')
}, 60_000)

it('a node that has joined since is not restarted', async () => {
  const cluster = await ownCluster()
  const plan = await planRolling(cluster.seeds, { supervised: true })
  const [joined] = await bareServers(1, { settings: { 'cluster-node-timeout': '1000' } })
  if (!joined) throw new Error('no server')
  await addNodes(cluster.seeds, [joined])
  await expect(plan.run()).rejects.toThrow(`127.0.0.1:${joined.port} would be restarted too`)
}, 60_000)
