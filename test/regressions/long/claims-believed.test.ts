import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { nameOf, planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes } from '../../../src/cluster/move/index.js'
import { parseClusterNodes, parseFields } from '../../../src/cluster/replies.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { slotOf, tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { claimScene, TASKS } from '../../helpers/claim-scene.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** A claim with the latest epoch wins, also a wrong one: then whoever has the slots drops all that was written to them. */
const BATCH = 256

const seen = async (port: number) => parseClusterNodes(await tell(port, 'CLUSTER', 'NODES'), '127.0.0.1')
const epochOf = async (port: number) =>
  Number(parseFields(await tell(port, 'CLUSTER', 'INFO')).get('cluster_my_epoch'))

/** All slots of one master, which are to go to another. */
async function shard() {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  const parties = nodes
    .filter(({ role }) => role === 'master')
    .map((node) => ({ ...node, name: nameOf(node) }))
  const [from, to] = parties
  const replica = nodes.find(({ masterId }) => masterId === from?.id)
  if (!from || !to || !replica) throw new Error('no shard')
  return { cluster, from, to, replica, parties, slots: slotsIn(from.slots) }
}

/** One master's slots without keys are on their way to another, and 256 have arrived when `meanwhile` happens. */
async function moving(meanwhile: (source: number, replica: number) => Promise<unknown>) {
  const { cluster, from, to, replica, parties, slots } = await shard()
  const written: string[] = []
  let batches = 0
  const faulty = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        if (at.id !== to.id || text !== 'CLUSTER BUMPEPOCH' || ++batches !== 2) return
        await meanwhile(from.port, replica.port)
        await eventually(async () => expect(await tell(replica.port, 'ROLE')).toMatch(/^master/), 15_000)
        await eventually(async () => expect(await tell(from.port, 'ROLE')).toMatch(/^slave/), 15_000)
        for (const slot of slots.slice(BATCH, 2 * BATCH)) {
          const name = `{${tagForSlot(slot)}}order`
          expect(await tell(replica.port, 'SET', name, 'paid')).toBe('OK')
          written.push(name)
        }
      },
    },
  )
  await expect(moveSlots(faulty, { slots, from, to }, parties)).rejects.toThrow()
  await faulty.close()
  expect(written).toHaveLength(BATCH)
  return { cluster, replica, written }
}

it.each([
  ['was failed over', async (_: number, replica: number) => tell(replica, 'CLUSTER', 'FAILOVER')],
  [
    'stood still until its replica was promoted',
    async (source: number, replica: number) => {
      const pid = Number(parseFields(await tell(source, 'INFO', 'server')).get('process_id'))
      process.kill(pid, 'SIGSTOP')
      await eventually(async () => expect(await tell(replica, 'ROLE')).toMatch(/^master/), 15_000)
      process.kill(pid, 'SIGCONT')
    },
  ],
])(
  'slots are not taken from a master that %s: whoever is in its place may have keys',
  async (_, meanwhile) => {
    const { cluster, replica, written } = await moving(meanwhile)
    await planFix(cluster.seeds).then((fix) => fix.run({ evenIfChanged: true }))
    await eventually(async () => {
      for (const { port } of cluster.seeds) {
        const owned = (await seen(port)).find(({ id }) => id === replica.id)?.slots ?? []
        expect(written.filter((name) => !slotsIn(owned).includes(slotOf(name)))).toEqual([])
      }
      for (const name of written) expect(await tell(replica.port, 'GET', name)).toBe('paid')
    }, 15_000)
  },
  60_000,
)

it('the old owner keeps the keys of a slot whose new owner is not believed', async () => {
  const it = await claimScene()
  const { cluster, from, to, queue } = it
  let isDone = false
  const nodes = new FaultyNodes(
    {},
    {
      after: async (call) => {
        if (isDone || !it.isClaim(call)) return
        isDone = true
        while ((await epochOf(from.port)) <= (await epochOf(to.port)))
          await tell(from.port, 'CLUSTER', 'BUMPEPOCH')
      },
    },
  )
  await expect(moveSlots(nodes, it.move, it.parties)).rejects.toThrow()
  await nodes.close()
  expect(isDone).toBe(true)
  await planFix(cluster.seeds).then((fix) => fix.run({ evenIfChanged: true }))
  await eventually(async () => {
    const { ready } = await queue.depth()
    expect(ready.medium).toBe(TASKS)
    expect(await queue.verify()).toMatchObject({ clean: true })
  }, 15_000)
}, 60_000)

it('slots that cannot be claimed at once stay with their owner', async () => {
  const { cluster, from, to, slots, parties } = await shard()
  let isSlow = false
  const nodes = new FaultyNodes(
    {},
    {
      before: async ({ at, text }) => {
        if (isSlow || at.id !== from.id || !/SETSLOT \d+ NODE/.test(text)) return
        isSlow = true
        await sleep(700)
      },
    },
  )
  await expect(moveSlots(nodes, { slots, from, to }, parties)).rejects.toThrow('to answer')
  await nodes.close()
  await eventually(async () => {
    for (const { port } of cluster.seeds)
      expect((await seen(port)).find(({ id }) => id === from.id)?.slots).toEqual(from.slots)
  }, 15_000)
}, 30_000)

it('a replica that stands still keeps no slot without keys from being moved', async () => {
  const { cluster, from, to, replica, slots, parties } = await shard()
  await cluster.freezeNode(replica.port)
  const nodes = new Nodes({})
  // Which does not count as failed at once.
  const end = await moveSlots(nodes, { slots: slots.slice(0, BATCH), from, to }, parties)
  await nodes.close()
  await cluster.resumeNode(replica.port)
  expect(end).toBe('moved')
}, 30_000)

it('a node that takes its time for each slot gives away fewer at once', async () => {
  const { from, to, slots, parties } = await shard()
  // As Valkey, which asks its replicas for each, and one after the other.
  let turn: Promise<unknown> = Promise.resolve()
  const nodes = new FaultyNodes(
    {},
    {
      before: ({ text }) => {
        if (!text.startsWith('CLUSTER SETSLOT')) return
        turn = turn.then(() => sleep(4))
        return turn
      },
    },
  )
  const end = await moveSlots(nodes, { slots: slots.slice(0, BATCH), from, to }, parties)
  await nodes.close()
  expect(end).toBe('moved')
}, 30_000)
