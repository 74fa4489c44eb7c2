import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes, type Party, StepRefused } from '../../../src/cluster/move/index.js'
import { parseFields } from '../../../src/cluster/replies.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { claimScene } from '../../helpers/claim-scene.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { slotContent } from '../../helpers/slot-content.js'

/** Nodes that refuse what a move asks of them, or have what they should not have. */

const MB = 1024 * 1024

/** The target takes no more writes once all copies are there, as it does when its disk is full or its replicas are gone. */
function refusing(to: Pick<Party, 'id' | 'port'>): FaultyNodes {
  let looks = 0
  return new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        // Once when it opens the slot, and once when all copies are there.
        if (at.id === to.id && text === 'CLUSTER BUMPEPOCH' && ++looks === 2)
          await tell(to.port, 'CONFIG', 'SET', 'min-replicas-to-write', 5)
      },
    },
  )
}

it('a target that refuses writes in the middle of a copy: the partition works on at its owner', async () => {
  const { cluster, queue, slot, from, to, move, parties, count } = await claimScene()
  await queue.disconnect()
  const before = await slotContent(from.port, slot)
  const nodes = refusing(to)
  const ended = await moveSlots(nodes, move, parties).catch((error: Error) => error)
  expect(ended).toMatchObject({
    message: expect.stringContaining(`127.0.0.1:${to.port} refuses what is moved`),
  })
  expect(ended).toMatchObject({ message: expect.stringContaining('NOREPLICAS') })
  expect(await count(to)).toBeGreaterThan(0)
  expect(await tell(from.port, 'CLUSTER', 'NODES')).not.toContain(`[${slot}->-`)
  expect(await slotContent(from.port, slot)).toEqual(before)

  // It is asked again as long as it refuses: with the same end.
  await expect(moveSlots(nodes, move, parties)).rejects.toThrow(StepRefused)
  expect(await tell(from.port, 'CLUSTER', 'NODES')).not.toContain(`[${slot}->-`)

  await tell(from.port, 'SET', `{${tagForSlot(slot)}}since`, 'written')
  await tell(to.port, 'CONFIG', 'SET', 'min-replicas-to-write', 0)
  const expected = await slotContent(from.port, slot)
  await moveSlots(nodes, move, parties)
  await nodes.close()
  expect(await slotContent(to.port, slot)).toEqual(expected)
  expect(await count(from)).toBe(0)
  const { steps, left } = await planFix(cluster.seeds)
  expect({ steps, left }).toEqual({ steps: [], left: [] })
}, 60_000)

it('as it refuses, `fix` names it; once it takes writes, `fix` brings the move to its end', async () => {
  const { cluster, queue, slot, from, to, move, parties, count } = await claimScene()
  await queue.disconnect()
  const nodes = refusing(to)
  await expect(moveSlots(nodes, move, parties)).rejects.toThrow('NOREPLICAS')
  await nodes.close()
  const expected = await slotContent(from.port, slot)
  const refused = await (await planFix(cluster.seeds)).run()
  expect(JSON.stringify(refused.left)).toContain('NOREPLICAS')
  expect(await slotContent(from.port, slot)).toEqual(expected)
  expect(await tell(from.port, 'CLUSTER', 'NODES')).not.toContain(`[${slot}->-`)
  await tell(to.port, 'CONFIG', 'SET', 'min-replicas-to-write', 0)
  expect((await (await planFix(cluster.seeds)).run()).left).toEqual([])
  expect(await slotContent(to.port, slot)).toEqual(expected)
  expect(await count(from)).toBe(0)
}, 60_000)

it('an old owner that refuses to remove what it has given away is named', async () => {
  const { slot, from, to, move, parties, count } = await claimScene()
  const nodes = new FaultyNodes(
    {},
    {
      after: async ({ at, text }) => {
        if (at.id === to.id && text === `CLUSTER SETSLOT ${slot} NODE ${to.id}`)
          await tell(from.port, 'CONFIG', 'SET', 'min-replicas-to-write', 5)
      },
    },
  )
  const ended = await moveSlots(nodes, move, parties).catch((error: Error) => error)
  await tell(from.port, 'CONFIG', 'SET', 'min-replicas-to-write', 0)
  expect(ended).toBeInstanceOf(StepRefused)
  expect(ended).toMatchObject({ message: expect.stringContaining(`127.0.0.1:${from.port} does not remove`) })
  await moveSlots(nodes, move, parties)
  await nodes.close()
  expect(await count(from)).toBe(0)
}, 60_000)

it.each([
  ['beside others', true],
  ['that has none', false],
])(
  'keys of long ago on the target are not served again with a slot of an owner %s',
  async (_, hasOthers) => {
    const { cluster, from, to, move, parties } = await claimScene()
    const free = from.slots.flat().find((slot) => slot !== move.slots[0]) ?? 0
    const key = (name: string) => `{${tagForSlot(free)}}${name}`
    await tellAll(to.port, [
      ['CLUSTER', 'SETSLOT', free, 'IMPORTING', from.id],
      ['ASKING'],
      ['SET', key('session'), 'deleted-account'],
      ['CLUSTER', 'SETSLOT', free, 'STABLE'],
    ])
    if (hasOthers) await tell(from.port, 'SET', key('profile'), 'kept')
    const nodes = new Nodes({})
    const ended = await moveSlots(nodes, { ...move, slots: [free] }, parties).catch((error: Error) => error)
    await nodes.close()
    expect(ended).toBeInstanceOf(StepRefused)
    expect(ended).toMatchObject({
      message: expect.stringContaining(key('session')),
      remedy: expect.stringContaining('--bring-home'),
    })
    expect(await tell(from.port, 'EXISTS', key('session'))).toBe('0')
    expect(await tell(from.port, 'CLUSTER', 'NODES')).not.toContain(`[${free}-`)
    const home = await (await planFix(cluster.seeds, { bringHome: true })).run()
    expect(home.left).toEqual([])
    expect(await tell(from.port, 'GET', key('session'))).toBe('deleted-account')
  },
  60_000,
)

/** Whoever looks at the room of a node acts on it a moment later. */
class Unhurried extends Nodes {
  override async expectRoom(party: Party, bytes: number): Promise<void> {
    await super.expectRoom(party, bytes)
    await sleep(200)
  }
}

it('slots that move at once are not sent all into the same room', async () => {
  const { from, to, move, parties } = await claimScene()
  const free = Array.from({ length: 8 }, (_, i) => (from.slots[0]?.[0] ?? 0) + 100 + i)
  for (const slot of free) await tell(from.port, 'SET', `{${tagForSlot(slot)}}big`, 'x'.repeat(3.5 * MB))
  const used = Number(parseFields(await tell(to.port, 'INFO', 'memory')).get('used_memory'))
  await tell(to.port, 'CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
  await tell(to.port, 'CONFIG', 'SET', 'maxmemory', used + 13 * MB)
  const nodes = new Unhurried({})
  const ended = await moveSlots(nodes, { ...move, slots: free }, parties).catch((error: Error) => error)
  await nodes.close()
  expect(ended).toMatchObject({ message: expect.stringContaining('would throw keys away') })
  expect(parseFields(await tell(to.port, 'INFO', 'stats')).get('evicted_keys')).toBe('0')
}, 60_000)
