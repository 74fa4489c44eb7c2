import { expect, it } from 'vitest'
import { ClusterNotReadyError, planRebalance } from '../../../src/cluster/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** Of two masters with slots: one whose replica is gone. */
async function withBareMaster() {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  const [heavy, bare] = nodes.filter(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === bare?.id)
  if (!heavy || !bare || !replica) throw new Error('no masters')
  await cluster.killNode(replica.port)
  await eventually(async () =>
    expect(await tell(bare.port, 'INFO', 'replication')).toContain('connected_slaves:0'),
  )
  return { cluster, heavy, bare, replica }
}

/** A rebalance gave replicated partitions to a master without any living replica, and reported success. */
it('slots that have a replica do not go to a master that none follows, unless that is wanted', async () => {
  const { cluster, heavy, bare, replica } = await withBareMaster()
  const { seeds } = cluster
  const options = { weights: { [heavy.id]: 0.5 }, agreeMs: 1_500 }
  const plan = await planRebalance(seeds, options)
  expect(plan.unprotected).toEqual([expect.stringContaining(`no replica follows 127.0.0.1:${bare.port}`)])
  expect(plan.unprotected[0]).toContain(`start 127.0.0.1:${replica.port}`)
  expect(plan.unprotected[0]).toContain('--leave-unprotected')
  const before = await slotsOf(bare.port)
  await expect(plan.run()).rejects.toThrow(ClusterNotReadyError)
  expect(await slotsOf(bare.port)).toBe(before)

  const wanted = await planRebalance(seeds, { ...options, leaveUnprotected: true })
  expect(wanted.unprotected).toEqual([])
  expect(await wanted.run()).toMatchObject({ left: [], interrupted: false })
  expect(await slotsOf(bare.port)).not.toBe(before)
})

it('a replica that is started meanwhile is waited for', async () => {
  const { cluster, heavy, replica } = await withBareMaster()
  const plan = await planRebalance(cluster.seeds, { weights: { [heavy.id]: 0.5 } })
  const running = plan.run()
  await cluster.restartNode(replica.port)
  expect(await running).toMatchObject({ left: [], interrupted: false })
}, 40_000)

const slotsOf = async (port: number) =>
  (await tell(port, 'CLUSTER', 'NODES'))
    .split('\n')
    .find((line) => line.includes('myself'))
    ?.split(' ')
    .slice(8)
    .join(' ')
