import { expect, it } from 'vitest'
import { planFix, planRebalance } from '../../../src/cluster/index.js'
import { parseClusterNodes } from '../../../src/cluster/replies.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { openJobs, QUEUE } from '../../helpers/new-owner.js'
import { tell, unlessUnassigned } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/**
 * A master that dies just after it has claimed a slot, and whose replica had not heard of it, comes back with that slot alone. It stayed so: two
 * masters without a replica where there had been one with, and no operation that gave them one.
 */
const PARTITIONS = 6
const TASKS = 600

/** @param full whether the slot has a partition; then the promoted replica has old copies of it */
async function apart(full: boolean) {
  const cluster = await ownCluster()
  const queue = await openJobs(cluster, PARTITIONS)
  await queue.enqueueMany(Array.from({ length: TASKS }, (_, i) => ({ type: 't' as const, data: i })))
  const { nodes } = await cluster.status()
  const partitions = makePartitions(QUEUE, PARTITIONS).map(({ slot }) => slot)
  const [partition = 0] = partitions
  const owner = nodes.find(({ slots }) => slotsIn(slots).includes(partition))
  const replica = nodes.find(({ masterId }) => masterId === owner?.id)
  if (!owner || !replica) throw new Error('nobody has the partition')
  const empty = slotsIn(owner.slots).find((slot) => !partitions.includes(slot)) ?? 0
  const slot = full ? partition : empty
  const seen = async (port: number) => parseClusterNodes(await tell(port, 'CLUSTER', 'NODES'), '127.0.0.1')
  const others = cluster.seeds.filter(({ port }) => port !== owner.port)

  await cluster.killNode(owner.port)
  await tell(replica.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
  await eventually(async () => {
    // Nobody tells another that a slot is nobody's.
    for (const { port } of others) await tell(port, 'CLUSTER', 'DELSLOTS', slot).catch(unlessUnassigned)
    for (const { port } of others) {
      const named = (await seen(port)).filter(({ slots }) => slotsIn(slots).includes(slot))
      expect(named).toEqual([])
      expect((await seen(port)).find(({ id }) => id === replica.id)?.role).toBe('master')
    }
  }, 15_000)
  await cluster.restartNode(owner.port)
  await eventually(async () => {
    for (const { port } of cluster.seeds) {
      const view = await seen(port)
      expect(view.find(({ id }) => id === owner.id)?.slots).toEqual([[slot, slot]])
      expect(view.filter(({ flags }) => flags.length > 0)).toEqual([])
    }
  }, 15_000)
  const expectOne = async () => {
    await eventually(async () => {
      const { ready } = await queue.depth()
      expect(ready.medium).toBe(TASKS)
      for (const { port } of cluster.seeds)
        expect((await seen(port)).find(({ id }) => id === owner.id)).toMatchObject({ masterId: replica.id })
    }, 15_000)
  }
  return { cluster, owner, replica, slot, expectOne }
}

it('fix gives its slots to the replica that was promoted, and has it follow that one', async () => {
  const { cluster, owner, replica, slot, expectOne } = await apart(false)
  const fix = await planFix(cluster.seeds)
  expect(fix.steps).toMatchObject([
    {
      kind: 'rejoin',
      ...{ node: { id: owner.id }, follows: { id: replica.id } },
      gives: [{ slots: [slot], to: { id: replica.id } }],
    },
  ])
  expect(await fix.run()).toMatchObject({ left: [], agreed: true })
  await expectOne()
}, 90_000)

it('a partition goes to a third, where no old copies are in its way', async () => {
  const { cluster, replica, expectOne } = await apart(true)
  const fix = await planFix(cluster.seeds)
  const rejoin = fix.steps.find(({ kind }) => kind === 'rejoin')
  expect(rejoin).toMatchObject({ follows: { id: replica.id } })
  expect(rejoin).not.toMatchObject({ gives: [{ to: { id: replica.id } }] })
  const { done, left } = await fix.run()
  expect(left.filter(({ why }) => !why.includes('nobody can know'))).toEqual([])
  expect(done.map(({ kind }) => kind)).toContain('rejoin')
  await expectOne()
}, 90_000)

it('so does a rebalance, before it moves anything; where nodes do not change roles by themselves, too', async () => {
  const { cluster, expectOne } = await apart(true)
  for (const { port } of cluster.seeds)
    await tell(port, 'CONFIG', 'SET', 'cluster-allow-replica-migration', 'no')
  expect(await (await planRebalance(cluster.seeds)).run()).toMatchObject({ left: [] })
  await expectOne()
}, 90_000)
