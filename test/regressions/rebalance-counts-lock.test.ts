import { expect, it } from 'vitest'
import { planRebalance } from '../../src/cluster/index.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'

/** As many slots with keys of no queue as are left where they are, on three masters. */
const FEW = 12

/** The plan was made without the lock, and once more with it: its key counted as one of an application, and made more than a few of them. */
it('the lock of a rebalance is no content that it shares out', async () => {
  const { seeds } = await ownCluster({ replicasPerMaster: 0 })
  const [first] = seeds
  if (!first) throw new Error('no node')
  for (let slot = 0; slot < FEW; slot++) await tell(first.port, 'SET', `{${tagForSlot(slot)}}mine`, 1)
  const plan = await planRebalance(seeds)
  expect(plan.flows).toEqual([])
  expect(await plan.run()).toMatchObject({ slots: 0, left: [], interrupted: false })
  // One more, and they are shared out.
  await tell(first.port, 'SET', `{${tagForSlot(FEW)}}mine`, 1)
  expect((await planRebalance(seeds)).flows.length).toBeGreaterThan(0)
})
