import { expect, it, onTestFinished } from 'vitest'
import { planRebalance } from '../../../src/cluster/index.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { mastersOf } from '../../operations/common/strays.js'

/** Keys of an application under the name that notes of a move have were removed with the slot: 6 of 8 were gone after two rebalances. */
it('a key with the name of a note that is none keeps its slot where it is, and is named', async () => {
  const { cluster, dispose } = await openCluster()
  onTestFinished(dispose)
  const [from] = await mastersOf(cluster)
  if (!from) throw new Error('no master')
  const [first = 0, second = 0] = slotsIn(from.slots)
  const names = [first, second].map((slot) => `shardq:{${tagForSlot(slot)}}:copies`)
  const [text = '', set = ''] = names
  await tell(from.port, 'SET', text, 'mine')
  await tell(from.port, 'SADD', set, 'apple')
  const rebalance = async () => {
    const plan = await planRebalance(cluster.seeds, { weights: { [from.id]: 0 } })
    return (await plan.run({ evenIfChanged: true })).left
  }
  const left = await rebalance()
  expect(left.map(({ what, why }) => `${what}: ${why}`)).toEqual([
    expect.stringContaining(`${text} on ${from.name}`),
    expect.stringContaining(`${set} on ${from.name}`),
  ])
  expect(await tell(from.port, 'GET', text)).toBe('mine')
  expect(await tell(from.port, 'SMEMBERS', set)).toBe('apple')
  for (const name of names) await tell(from.port, 'RENAME', name, `${name}:`)
  expect(await rebalance()).toEqual([])
  const sizes = await Promise.all((await mastersOf(cluster)).map(({ port }) => tell(port, 'DBSIZE')))
  expect(sizes.reduce((sum, size) => sum + Number(size), 0)).toBe(2)
}, 120_000)
