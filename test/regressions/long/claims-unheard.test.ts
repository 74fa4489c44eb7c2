import { expect, it } from 'vitest'
import { planFix } from '../../../src/cluster/index.js'
import { moveSlots } from '../../../src/cluster/move/index.js'
import { parseClusterNodes, parseFields } from '../../../src/cluster/replies.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { Bus } from '../../helpers/bus.js'
import { claimScene, TASKS } from '../../helpers/claim-scene.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell } from '../../helpers/nodes.js'

/** A partition that is claimed while some nodes have not heard yet what others know. */

const ownedBy = async (at: number, id: string) => {
  const seen = parseClusterNodes(await tell(at, 'CLUSTER', 'NODES'), '127.0.0.1')
  return slotsIn(seen.find((node) => node.id === id)?.slots ?? [])
}

const latestEpoch = async (at: number) =>
  Number(parseFields(await tell(at, 'CLUSTER', 'INFO')).get('cluster_current_epoch'))

async function scene() {
  const it = await claimScene()
  const { nodes } = await it.cluster.status()
  const heir = nodes.find(({ masterId }) => masterId === it.from.id)
  const witness = it.parties.find(({ id }) => id !== it.from.id && id !== it.to.id)
  if (!heir || !witness) throw new Error('not the nodes that were expected')
  return { ...it, heir, witness, bus: await Bus.between(it.cluster) }
}

it('the old owner has not heard that its replica was promoted: what that one has acknowledged since is kept', async () => {
  const { cluster, slot, from, to, heir, witness, bus, move, parties } = await scene()
  const name = `{${tagForSlot(slot)}}order`
  let looks = 0
  const nodes = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        // Once when it opens the slot, and once when all copies are there.
        if (at.id !== to.id || text !== 'CLUSTER BUMPEPOCH' || ++looks !== 2) return
        bus.cut((one) => one === from.id)
        await tell(heir.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
        await eventually(async () => expect(await ownedBy(witness.port, heir.id)).toContain(slot))
        await eventually(async () => expect(await tell(heir.port, 'SET', name, 'paid')).toBe('OK'))
      },
      after: async ({ at, text }) => {
        if (at.id === to.id && text === `CLUSTER SETSLOT ${slot} NODE ${to.id}`) await bus.heal()
      },
    },
  )
  const end = await moveSlots(nodes, move, parties).catch((error: Error) => error)
  await nodes.close()
  expect(looks).toBeGreaterThanOrEqual(2)
  await bus.heal()
  await eventually(async () => expect(await tell(from.port, 'ROLE')).toMatch(/^slave/), 15_000)
  const expectPaid = () =>
    eventually(async () => {
      const owners = await Promise.all([heir.id, to.id].map((id) => ownedBy(witness.port, id)))
      const owner = [heir, to][owners.findIndex((slots) => slots.includes(slot))]
      expect(await tell(owner?.port ?? 0, 'GET', name)).toBe('paid')
    }, 15_000)
  await expectPaid()
  expect(end).toMatchObject({ message: expect.stringContaining(`slot ${slot} is not`) })
  await planFix(cluster.seeds).then((fix) => fix.run({ evenIfChanged: true }))
  // What is half way is finished, or was taken back.
  await expectPaid()
}, 120_000)

it('keys stay at the old owner until its replica has heard of the claim: promoted by hand, it has them', async () => {
  const it = await scene()
  const { slot, to, heir, bus, move, parties, queue } = it
  let looks = 0
  const nodes = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        if (at.id !== to.id || text !== 'CLUSTER BUMPEPOCH' || ++looks !== 2) return
        // It follows the old owner all the while, and knows of the latest epoch, but not of the claim that is made with it.
        await eventually(
          async () => expect(await latestEpoch(heir.port)).toBe(await latestEpoch(to.port)),
          20_000,
        )
        bus.cut((one) => one === heir.id)
      },
    },
  )
  const end = await moveSlots(nodes, move, parties).catch((error: Error) => error)
  await nodes.close()
  expect(looks).toBe(2)
  await tell(heir.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
  await bus.heal()
  await eventually(async () => expect(await ownedBy(to.port, heir.id)).toContain(slot), 15_000)
  await eventually(async () => {
    const { ready } = await queue.depth()
    expect(ready.medium).toBe(TASKS)
    expect(await queue.verify()).toMatchObject({ clean: true })
  }, 20_000)
  expect(end).toMatchObject({ message: expect.stringContaining(`:${heir.port} does not answer, or has not`) })
}, 120_000)
