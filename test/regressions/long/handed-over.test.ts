import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, nameOf, planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes, type Party } from '../../../src/cluster/move/index.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/** A slot whose keys have moved changes its owner: the old one lets go first, which it refuses to as long as it has a key. */

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterAll(() => dispose?.())

const namesFor = (slot: number, what: string, count: number) =>
  Array.from({ length: count }, (_, n) => `{${tagForSlot(slot)}}${what}:${n}`)

const write = (at: Party, names: readonly string[]) =>
  tellAll(
    at.port,
    names.map((name) => ['SET', name, 'paid']),
  )

async function ends(nth: number) {
  const masters = (await cluster.status()).nodes
    .filter(({ role }) => role === 'master')
    .map((node) => ({ ...node, name: nameOf(node) }))
  const [from, to] = masters
  const slot = from && slotsIn(from.slots)[nth]
  if (!from || !to || slot === undefined) throw new Error('no masters')
  return { masters, from, to, slot }
}

/** A slot with so many keys is closed by hand just before `isNow`, when all have moved, and clients write to its old owner. */
async function closed(keys: number, isNow: (call: string, at: Party, to: Party) => boolean) {
  const { masters, from, to, slot } = await ends(keys)
  const moved = namesFor(slot, 'moved', keys)
  await write(from, moved)
  const late = namesFor(slot, 'late', 100)
  let acknowledged: string[] = []
  let isDone = false
  const nodes = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        if (isDone || !text.startsWith(`CLUSTER SETSLOT ${slot} NODE`) || !isNow(text, at, to)) return
        isDone = true
        await tell(from.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')
        const replies = await Promise.allSettled(late.map((name) => tell(from.port, 'SET', name, 'paid')))
        acknowledged = late.filter((_, i) => replies[i]?.status === 'fulfilled')
      },
    },
  )
  const end = await moveSlots(nodes, { slots: [slot], from, to }, masters).catch((error: Error) => error)
  await nodes.close()
  expect(isDone).toBe(true)
  return { from, to, slot, end, acknowledged, all: [...moved, ...acknowledged] }
}

interface Scene {
  readonly from: Party
  readonly to: Party
  readonly slot: number
  readonly all: readonly string[]
}

/** At the one end that says that the slot is its own. */
async function expectKept({ from, to, slot, all }: Scene) {
  const fix = await planFix(cluster.seeds, { agreeMs: 2_000 })
  const report = await fix.run({ evenIfChanged: true })
  expect(report).toMatchObject({ left: [], openSlots: 0, agreed: true })
  const { nodes } = await cluster.status()
  const owner = nodes.find(({ slots }) => slotsIn(slots).includes(slot))
  expect([from.id, to.id]).toContain(owner?.id)
  const values = await tellAll(
    owner?.port ?? 0,
    all.map((name) => ['GET', name]),
  )
  expect(values).toEqual(all.map(() => 'paid'))
}

it.each([
  ['among others that have few', 3],
  ['by itself, as it has many', 150],
])(
  'what is written to the old owner before it has let go is kept, of a slot that is moved %s',
  async (_, keys) => {
    const scene = await closed(keys, () => true)
    expect(scene.acknowledged).toHaveLength(100)
    await expectKept(scene)
  },
  60_000,
)

it('once it has let go, nothing is written to it any more', async () => {
  const scene = await closed(5, (_, at, to) => at.id === to.id)
  expect(scene.acknowledged).toEqual([])
  expect(scene.end).toBe('moved')
  await expectKept(scene)
}, 60_000)

it.each(['moveSlots', 'fix'] as const)(
  'killed when the old owner has let go, and the new one has not claimed, %s goes on',
  async (who) => {
    const { masters, from, to, slot } = await ends(who === 'fix' ? 7 : 8)
    const all = namesFor(slot, who, 100)
    await tell(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
    await tell(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
    await tellAll(
      to.port,
      all.flatMap((name) => [['ASKING'] as const, ['SET', name, 'paid'] as const]),
    )
    await tell(from.port, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
    if (who === 'moveSlots') {
      const nodes = new Nodes({})
      expect(await moveSlots(nodes, { slots: [slot], from, to }, masters)).toBe('moved')
      await nodes.close()
    }
    await expectKept({ from, to, slot, all })
  },
  60_000,
)

it('a claim that fails: the slot is the old owner’s again, which sends clients on to where its keys are', async () => {
  const { masters, from, to, slot } = await ends(9)
  const all = namesFor(slot, 'failed', 20)
  await write(from, all)
  let isDone = false
  const nodes = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        if (at.id !== to.id || text !== `CLUSTER SETSLOT ${slot} NODE ${to.id}`) return
        isDone = true
        throw new Error('no reply')
      },
    },
  )
  await expect(moveSlots(nodes, { slots: [slot], from, to }, masters)).rejects.toThrow('no reply')
  await nodes.close()
  expect(isDone).toBe(true)
  await expect(tell(from.port, 'GET', all[0] ?? '')).rejects.toThrow(/^ASK /)
  await expectKept({ from, to, slot, all })
}, 60_000)

it.each([
  ['few', 11],
  ['many', 150],
])(
  'the old owner is failed over when %s keys have moved: whoever is in its place gives the rest to where they are',
  async (_, keys) => {
    const { masters, from, to, slot } = await ends(keys)
    const replica = (await cluster.status()).nodes.find(({ masterId }) => masterId === from.id)
    if (!replica) throw new Error('no replica')
    const heir = { ...replica, name: nameOf(replica) }
    const moved = namesFor(slot, 'moved', keys)
    const late = namesFor(slot, 'late', 20)
    await write(from, moved)
    let isDone = false
    const nodes = new FaultyNodes(
      {},
      {
        before: async ({ at, text }) => {
          if (isDone || at.id !== from.id || text !== `CLUSTER SETSLOT ${slot} NODE ${to.id}`) return
          isDone = true
          await tell(heir.port, 'CLUSTER', 'FAILOVER')
          await eventually(async () => expect(await tell(from.port, 'ROLE')).toMatch(/^slave/), 15_000)
          await write(heir, late)
        },
      },
    )
    await expect(moveSlots(nodes, { slots: [slot], from, to }, masters)).rejects.toThrow(
      'has become a replica',
    )
    await nodes.close()
    await expectKept({ from: heir, to, slot, all: [...moved, ...late] })
  },
  60_000,
)
