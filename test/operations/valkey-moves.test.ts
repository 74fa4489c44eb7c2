import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import { type LocalCluster, nameOf, planRebalance } from '../../src/cluster/index.js'
import { moveSlots, Nodes, type Party, StepRefused } from '../../src/cluster/move/index.js'
import { parseClusterNodes } from '../../src/cluster/replies.js'
import { slotsIn } from '../../src/cluster/slots.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { FaultyNodes } from '../helpers/faulty-nodes.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'

/**
 * Valkey has each SETSLOT confirmed by all replicas that are online before it carries it out, and after 2 s does not: NOREPLICAS. Slots that
 * the old owner had let go of were nobody's then, and giving them back ran into the same wall.
 */
const { path: redisPath } = await ensureValkey()

let cluster: LocalCluster
let dispose: () => Promise<void>
let from: Party
let to: Party
let parties: Party[]
let slots: readonly number[]
let replicas: ReadonlyMap<Party, number>
beforeAll(async () => {
  // A replica that stands still counts as failed after a second, and is online for as long as its master waits for it.
  ;({ cluster, dispose } = await openCluster({ redisPath }))
}, 60_000)
afterAll(() => dispose?.())
beforeEach(async () => {
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0)
  parties = masters.map((node) => ({ ...node, name: nameOf(node) }))
  const [first, second] = parties
  if (!first || !second) throw new Error('no masters')
  ;[from, to] = [first, second]
  slots = slotsIn(masters[0]?.slots ?? []).slice(0, 600)
  replicas = new Map(
    parties.map((each) => [each, nodes.find(({ masterId }) => masterId === each.id)?.port ?? 0]),
  )
})
afterEach(async () => {
  for (const { port } of cluster.nodes) await cluster.resumeNode(port)
  await eventually(async () => expect((await cluster.status()).state).toBe('ok'), 20_000)
})

/** Owners of the slots by what each node says of itself. */
async function ownersOf(): Promise<(string | undefined)[]> {
  const owned = await Promise.all(
    parties.map(async ({ id, port, host }) => {
      const self = parseClusterNodes(await tell(port, 'CLUSTER', 'NODES'), host).find(({ myself }) => myself)
      return { id, slots: new Set(slotsIn(self?.slots ?? [])) }
    }),
  )
  return slots.map((slot) =>
    owned
      .filter((each) => each.slots.has(slot))
      .map(({ id }) => id)
      .join(' '),
  )
}

it.each([
  ['the node that is to get them', () => to],
  ['their owner', () => from],
])(
  'a replica of %s stands still: refused at once, and no slot is without an owner',
  async (_, whose) => {
    await cluster.freezeNode(replicas.get(whose()) ?? 0)
    const nodes = new Nodes({})
    const startedMs = performance.now()
    const refusal = await moveSlots(nodes, { slots, from, to }, parties).catch((error) => error)
    await nodes.close()
    expect(refusal).toBeInstanceOf(StepRefused)
    expect(refusal).toMatchObject({
      message: expect.stringContaining(`replica of ${whose().name}`),
      remedy: expect.stringContaining('shardq cluster check'),
    })
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(await ownersOf()).toEqual(slots.map(() => from.id))
  },
  60_000,
)

it.each([
  ['few bytes', 10],
  ['megabytes', 3_000_000],
])(
  'a slot with a key of %s neither, and nothing stays open',
  async (_, bytes) => {
    const [slot = 0] = slots
    await tell(from.port, 'SET', `{${tagForSlot(slot)}}order`, 'x'.repeat(bytes))
    await cluster.freezeNode(replicas.get(from) ?? 0)
    const nodes = new Nodes({})
    await expect(moveSlots(nodes, { slots: [slot], from, to }, parties)).rejects.toThrow(StepRefused)
    await nodes.close()
    for (const { port } of [from, to]) expect(await tell(port, 'CLUSTER', 'NODES')).not.toMatch(/\[\d+-[<>]-/)
    await tell(from.port, 'DEL', `{${tagForSlot(slot)}}order`)
  },
  60_000,
)

it.each([
  ['the node that is to get them', 'claims', () => to],
  ['their owner', 'lets go of', () => from],
])(
  'a replica of %s stands still when it %s some of them',
  async (_, __, whose) => {
    let count = 0
    const nodes = new FaultyNodes(
      {},
      {
        before: async ({ at, text }) => {
          if (at.id === whose().id && / NODE /.test(text) && ++count === 3)
            await cluster.freezeNode(replicas.get(at) ?? replicas.get(whose()) ?? 0)
        },
      },
    )
    await expect(moveSlots(nodes, { slots, from, to }, parties)).rejects.toThrow(StepRefused)
    await nodes.close()
    expect(count).toBeGreaterThan(2)
    const owners = await ownersOf()
    expect(owners.filter((owner) => owner !== from.id && owner !== to.id)).toEqual([])
    await cluster.resumeNode(replicas.get(whose()) ?? 0)
    const back = new Nodes({})
    const moved = slots.filter((_, i) => owners[i] === to.id)
    if (moved.length > 0)
      expect(await moveSlots(back, { slots: moved, from: to, to: from }, parties)).toBe('moved')
    await back.close()
  },
  60_000,
)

it('a rebalance ends with what to type', async () => {
  await cluster.freezeNode(replicas.get(to) ?? 0)
  const plan = await planRebalance(cluster.seeds, {
    weights: { [to.name]: 2 },
    leaveUnprotected: true,
    agreeMs: 1_000,
  })
  await expect(plan.run({ evenIfChanged: true })).rejects.toThrow(/replica of .*shardq cluster check/)
}, 60_000)
