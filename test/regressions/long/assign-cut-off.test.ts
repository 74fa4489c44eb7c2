import { expect, it } from 'vitest'
import { carryOut } from '../../../src/cluster/fix/carry-out.js'
import { addNodes, nameOf, planFix } from '../../../src/cluster/index.js'
import type { Address } from '../../../src/cluster/link.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/**
 * What a repair leaves that is killed between two round trips: all others take a node for the owner of slots, and it does not say so itself.
 * No gossip ends that. The next operation went on waiting for views that agree.
 */
it('slots that are somebody’s by hearsay alone keep no node from being added, and are mended by what moves slots', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { nodes } = await cluster.status()
  const [owner, heir] = nodes
  const first = owner?.slots[0]?.[0]
  if (!owner || !heir || first === undefined) throw new Error('no masters')
  const slots = [first, first + 1, first + 2]
  for (const { port, id } of nodes)
    if (id !== heir.id)
      for (const slot of slots) await tell(port, 'CLUSTER', 'SETSLOT', slot, 'NODE', heir.id)
  const [node] = (await bareServers(1, { settings: { 'cluster-node-timeout': '1000' } })) as [Address]
  await expect(
    addNodes(cluster.seeds, [node], { rebalance: { leaveUnprotected: true } }),
  ).resolves.toMatchObject({
    added: [{ node: `127.0.0.1:${node.port}` }],
    rebalance: { left: [], interrupted: false },
  })
  expect(await (await planFix(cluster.seeds)).run()).toMatchObject({ done: [], left: [], agreed: true })
}, 60_000)

/** Promoted for them and written to a moment before, it would drop that: the claim comes with a later epoch. */
it('slots are given to nobody when a node stops answering that may own them, and does not count as failed', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '60000' } })
  const { nodes } = await cluster.status()
  const silent = nodes.find(({ role }) => role === 'replica')
  const masters = nodes
    .filter(({ role }) => role === 'master')
    .map((node) => ({ ...node, name: nameOf(node) }))
  const to = masters.find(({ id }) => id !== silent?.masterId)
  if (!silent || !to) throw new Error('no nodes')
  const sent: string[] = []
  const links = new FaultyNodes(
    {},
    {
      before: ({ text }) => {
        sent.push(text)
        return text === 'CLUSTER BUMPEPOCH' ? cluster.killNode(silent.port) : undefined
      },
    },
  )
  try {
    const step = { kind: 'assign', slots: slotsIn(to.slots).slice(0, 1), to, keys: 0 } as const
    await expect(carryOut(links, step, masters, { bigKeys: false, bigKeyBytes: 1 })).rejects.toThrow(
      `${nameOf(silent)} does not answer, and may own slots`,
    )
  } finally {
    await links.close()
  }
  expect(sent).toContain('CLUSTER BUMPEPOCH')
  expect(sent.filter((text) => text.startsWith('CLUSTER SETSLOT'))).toEqual([])
}, 60_000)
