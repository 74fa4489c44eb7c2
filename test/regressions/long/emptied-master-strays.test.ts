import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  type LocalCluster,
  moveSlots,
  NodeNotEmptyError,
  nameOf,
  planFix,
  planRebalance,
  planRemoval,
} from '../../../src/cluster/index.js'
import { Nodes } from '../../../src/cluster/move/index.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/**
 * A master that has given its last slot away becomes a replica of whoever got it, and copies all of that one's data over its own. Keys of slots
 * that it did not own, which `fix` had kept as nobody could know whether they are the only ones, were gone with that, and the exit code was 0.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let node: LocalCluster['seeds'][number]
let owner: LocalCluster['seeds'][number]
let slot: number
let stray: string

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ masters: 4, replicasPerMaster: 0 }))
})
afterAll(() => dispose())

/** One that `fix` leaves where it is: the owner has another value. */
beforeEach(async () => {
  const [first, second] = (await cluster.status()).nodes
  const found = second?.slots[0]?.[0]
  if (!first || !second || found === undefined) throw new Error('no two masters')
  ;[node, owner, slot] = [first, second, found]
  stray = `{${tagForSlot(slot)}}stray`
  await tell(owner.port, 'SET', stray, 'other')
  await tellAll(node.port, [
    ['CLUSTER', 'SETSLOT', slot, 'IMPORTING', second.id],
    ['ASKING'],
    ['SET', stray, 'perhaps the only one'],
    ['CLUSTER', 'SETSLOT', slot, 'STABLE'],
  ])
  const { left } = await (await planFix(cluster.seeds)).run()
  expect(left.map(({ what }) => what).join()).toContain(`keys of slot ${slot} on ${nameOf(node)}`)
})

/** Nothing was moved, and it is where it was. */
async function expectUntouched(doing: Promise<unknown>): Promise<void> {
  const before = (await cluster.status()).nodes
  const problem = await doing.catch((error: Error) => error)
  expect(await tell(node.port, 'ROLE')).toContain('master')
  expect(await tell(node.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('1')
  expect(problem).toBeInstanceOf(NodeNotEmptyError)
  expect(String(problem)).toContain(`it has 1 key of slots that other nodes own, such as ${stray}`)
  expect(String(problem)).toContain('shardq cluster fix')
  expect((await cluster.status()).nodes.map(({ slots }) => slots)).toEqual(before.map(({ slots }) => slots))
}

it('a master that is emptied by its weight', () =>
  expectUntouched(
    planRebalance(cluster.seeds, { weights: { [nameOf(node)]: 0 } }).then((plan) => plan.run()),
  ))

it('a master that is removed by who may not use CONFIG, and so cannot keep it from becoming a replica', async () => {
  const access = { username: 'mover', password: 'mover-password' }
  for (const { port } of cluster.seeds)
    await tell(port, 'ACL', 'SETUSER', 'mover', 'on', '>mover-password', '~*', '&*', '+@all', '-config')
  await expectUntouched(
    planRemoval(cluster.seeds, nameOf(node), { ...access, leaveUnprotected: true }).then((plan) =>
      plan.run(),
    ),
  )
})

it('a master whose last slots are moved', async () => {
  const { nodes } = await cluster.status()
  const parties = nodes.map((each) => ({ ...each, name: nameOf(each) }))
  const [from, to] = parties
  if (!from || !to) throw new Error('no two masters')
  const links = new Nodes({})
  try {
    await expectUntouched(moveSlots(links, { slots: slotsIn(from.slots), from, to }, parties))
    // As long as it keeps a slot, it stays a master.
    const [kept, ...others] = slotsIn(from.slots)
    expect(await moveSlots(links, { slots: others, from, to }, parties)).toBe('moved')
    expect(await tell(node.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('1')
    expect(slotsIn((await cluster.status()).nodes[0]?.slots ?? [])).toEqual([kept])
    await expectUntouched(moveSlots(links, { slots: [kept ?? -1], from, to }, parties))
  } finally {
    await links.close()
  }
})
