import { expect } from 'vitest'
import { moveSlots } from '../../src/cluster/move/index.js'
import type { NodeView } from '../../src/cluster/replies.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { eventually } from './behaviour/harness.js'
import { type Call, FaultyNodes } from './faulty-nodes.js'
import { openJobs, QUEUE } from './new-owner.js'
import { tell, tellAll } from './nodes.js'
import { ownCluster } from './own-cluster.js'

export const TASKS = 600
const PARTITIONS = 6

/** A partition of one master, with acknowledged tasks, and another master with its replica. */
export async function claimScene() {
  const cluster = await ownCluster()
  const queue = await openJobs(cluster, PARTITIONS)
  const ids = await queue.enqueueMany(
    Array.from({ length: TASKS }, (_, i) => ({ type: 't' as const, data: i })),
  )
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ role }) => role === 'master')
  const [{ slot } = { slot: 0 }] = makePartitions(QUEUE, PARTITIONS)
  const from = masters.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
  const to = masters.find(({ id }) => id !== from?.id)
  const replica = nodes.find(({ masterId }) => masterId === to?.id)
  if (!from || !to || !replica) throw new Error('not the nodes that were expected')
  const parties = masters.map((node) => ({ ...node, name: `127.0.0.1:${node.port}` }))
  const partyOf = (node: NodeView) => ({ ...node, name: `127.0.0.1:${node.port}` })
  const move = { slots: [slot], from: partyOf(from), to: partyOf(to) }
  const count = async (node: NodeView) => Number(await tell(node.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot))
  expect(await count(from)).toBeGreaterThan(0)
  const isClaim = ({ at, text }: Call) => at.id === to.id && text === `CLUSTER SETSLOT ${slot} NODE ${to.id}`
  const promoted = () =>
    eventually(
      async () => expect(await tell(replica.port, 'CLUSTER', 'NODES')).toContain('myself,master'),
      15_000,
    )
  return { cluster, queue, ids, slot, from, to, replica, parties, move, count, isClaim, promoted }
}

export type ClaimScene = Awaited<ReturnType<typeof claimScene>>

/**
 * The replica of the new owner is cut off in one of the moments in which the owner is asked how the cluster is; then, when the old one has been
 * emptied, that one dies.
 */
export async function cutOff(it: ClaimScene, isNow: () => Promise<boolean>) {
  let [isCut, isClaimed, isDead] = [false, false, false]
  const emptied = `CLUSTER COUNTKEYSINSLOT ${it.slot}`
  const nodes = new FaultyNodes(
    {},
    {
      before: async (call) => {
        if (isCut || call.text !== 'CLUSTER INFO' || call.at.id !== it.from.id || !(await isNow())) return
        isCut = true
        await it.cluster.freezeNode(it.replica.port)
        await tell(it.to.port, 'CLIENT', 'KILL', 'TYPE', 'replica')
      },
      after: async (call) => {
        isClaimed ||= isCut && it.isClaim(call)
        if (isDead || !isClaimed || call.at.id !== it.from.id || call.text !== emptied) return
        isDead = true
        await it.cluster.killNode(it.to.port)
        await it.cluster.resumeNode(it.replica.port)
      },
    },
  )
  await expect(moveSlots(nodes, it.move, it.parties)).rejects.toThrow()
  await nodes.close()
  return { isCut, isDead }
}

export async function membersOfNote({ to, slot }: ClaimScene): Promise<string> {
  const names = (await tell(to.port, 'CLUSTER', 'GETKEYSINSLOT', slot, 1_000)).split(/[\n,]/)
  const note = names.find((name) => name.endsWith(':copies'))
  return note ? ((await tellAll(to.port, [['ASKING'], ['SMEMBERS', note]]))[1] ?? '') : ''
}

/** The last look before the claim, after all replicas have heard that it comes. */
export const isAnnounced = async (it: ClaimScene) =>
  (await membersOfNote(it)).split(/[\n,]/).includes('claim')

/** The slot of the dead owner is given to the old one by hand, who uses it then, or not. @param isUsed a key is written there */
export async function giveBack(it: ClaimScene, isUsed: boolean): Promise<void> {
  const living = it.parties.filter(({ id }) => id !== it.to.id)
  const [{ keys } = { keys: undefined }] = makePartitions(QUEUE, PARTITIONS)
  const list = keys?.ready[1] ?? ''
  // Any of them may hear of the claim after all, in what lay in its socket, also a moment later, and tell the others.
  await eventually(async () => {
    await tell(it.replica.port, 'CLUSTER', 'DELSLOTS', it.slot).catch(() => undefined)
    for (const { port } of [...living, it.replica])
      await tell(port, 'CLUSTER', 'SETSLOT', it.slot, 'NODE', it.from.id)
    await tell(it.from.port, 'CLUSTER', 'BUMPEPOCH')
    if (isUsed) await tell(it.from.port, 'RPUSH', list, 'another')
    else await tell(it.from.port, 'EXISTS', list)
  }, 10_000)
}
