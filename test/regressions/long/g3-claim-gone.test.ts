import { expect, it, onTestFinished } from 'vitest'
import { type LocalCluster, planFix } from '../../../src/cluster/index.js'
import { moveSlots } from '../../../src/cluster/move/index.js'
import type { NodeView } from '../../../src/cluster/replies.js'
import { TaskQueue } from '../../../src/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { type Call, FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

const TASKS = 600

async function openQueue({ connection }: LocalCluster): Promise<TaskQueue<{ t: number }>> {
  const queue = new TaskQueue<{ t: number }>('jobs', { connection, partitions: 6 })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  return queue
}

/** A partition of one master, with acknowledged tasks, and another master with its replica. */
async function scene() {
  const cluster = await ownCluster()
  const queue = await openQueue(cluster)
  const ids = await queue.enqueueMany(Array.from({ length: TASKS }, (_, i) => ({ type: 't', data: i })))
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ role }) => role === 'master')
  const [{ slot } = { slot: 0 }] = makePartitions('jobs', 6)
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

type Scene = Awaited<ReturnType<typeof scene>>

/** All of it is there, and everybody agrees. */
async function expectMended({ cluster, queue, ids, to }: Scene) {
  const seeds = cluster.seeds.filter(({ port }) => port !== to.port)
  // It may come back with later keys; nobody but the operator knows that it does not.
  const report = await (await planFix(seeds, { agreeMs: 2_000 })).run()
  expect(report.done.filter(({ kind }) => kind === 'assign')).toEqual([])
  // Whether the old owner has heard of the claim, and so whose the slot is, is a matter of milliseconds.
  expect(report.left.map(({ remedy }) => remedy).join()).toContain(`--forget ${to.id}`)
  const forgotten = await (await planFix(seeds, { forget: [to.id], agreeMs: 2_000 })).run()
  expect(forgotten).toMatchObject({ left: [], agreed: true, openSlots: 0 })
  await eventually(async () => {
    const { ready } = await queue.depth()
    expect(ready.medium).toBe(TASKS)
  }, 15_000)
  for (const id of ids.slice(0, 50)) expect(await queue.getTask(id)).toMatchObject({ state: 'ready' })
}

it('the new owner dies just after its claim: once it is given up, fix gives the slot to whoever was promoted in its place', async () => {
  const it = await scene()
  let isDead = false
  const nodes = new FaultyNodes(
    {},
    {
      after: (call) => {
        if (isDead || !it.isClaim(call)) return undefined
        isDead = true
        return it.cluster.killNode(it.to.port)
      },
    },
  )
  await expect(moveSlots(nodes, it.move, it.parties)).rejects.toThrow()
  await nodes.close()
  expect(isDead).toBe(true)
  await it.promoted()
  expect(await it.count(it.replica)).toBeGreaterThan(0)
  await expectMended(it)
}, 90_000)

/** The replica of the new owner is cut off in one of the moments in which the owner is asked how the cluster is; then that one dies. */
async function cutOff(it: Scene, isNow: () => Promise<boolean>) {
  let [isCut, isDead] = [false, false]
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
        if (isDead || !isCut || !it.isClaim(call)) return
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

async function membersOfNote({ to, slot }: Scene): Promise<string> {
  const names = (await tell(to.port, 'CLUSTER', 'GETKEYSINSLOT', slot, 1_000)).split(/[\n,]/)
  const note = names.find((name) => name.endsWith(':copies'))
  return note ? ((await tellAll(to.port, [['ASKING'], ['SMEMBERS', note]]))[1] ?? '') : ''
}

it('the same, and its replica was cut off a moment before: the copies that it has are not taken for mere copies', async () => {
  const it = await scene()
  // The last look before the claim, after all replicas have heard that it comes.
  const isNow = async () => (await membersOfNote(it)).split(/[\n,]/).includes('claim')
  expect(await cutOff(it, isNow)).toEqual({ isCut: true, isDead: true })
  await it.promoted()
  await expectMended(it)
}, 90_000)

it('a new owner whose replica was cut off before that gets nothing, and the slot stays where it was', async () => {
  const it = await scene()
  expect(await cutOff(it, async () => (await membersOfNote(it)) !== '')).toEqual({
    isCut: true,
    isDead: false,
  })
  await it.cluster.resumeNode(it.replica.port)
  expect(await it.count(it.to)).toBe(0)
  expect((await it.queue.depth()).ready.medium).toBe(TASKS)
  await eventually(async () => expect((await it.cluster.status()).state).toBe('ok'), 15_000)
  expect(await (await planFix(it.cluster.seeds)).run()).toMatchObject({
    left: [],
    openSlots: 0,
    agreed: true,
  })
  expect((await it.queue.depth()).ready.medium).toBe(TASKS)
}, 90_000)

it.each([
  ['which has nothing there: they are brought home', false],
  ['which has something else there by now: both are kept, and that is said', true],
])(
  'somebody gave the slot back to the old owner, %s',
  async (_, isUsed) => {
    const it = await scene()
    const isNow = async () => (await membersOfNote(it)).split(/[\n,]/).includes('claim')
    expect(await cutOff(it, isNow)).toEqual({ isCut: true, isDead: true })
    await it.promoted()
    // A queue that is open writes to the slot by itself.
    if (!isUsed) await it.queue.disconnect()
    const kept = await it.count(it.replica)
    const living = it.parties.filter(({ id }) => id !== it.to.id)
    const [{ keys } = { keys: undefined }] = makePartitions('jobs', 6)
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
    const seeds = it.cluster.seeds.filter(({ port }) => port !== it.to.port)
    const report = await (await planFix(seeds, { forget: [it.to.id], agreeMs: 3_000 })).run()
    if (isUsed) {
      // The owner has others; and if these are wanted all the same, they are no mere copies.
      expect(report.left.map(({ remedy }) => remedy).join()).toContain('--bring-home')
      const wanted = await (await planFix(seeds, { bringHome: true, agreeMs: 3_000 })).run()
      expect(wanted.left.map(({ why }) => why).join()).toContain('may be the only one there is')
      expect(await it.count(it.replica)).toBe(kept)
    } else {
      expect(report).toMatchObject({ left: [], agreed: true, openSlots: 0 })
      expect(await it.count(it.replica)).toBe(0)
      const again = await openQueue(it.cluster)
      await eventually(async () => expect((await again.depth()).ready.medium).toBe(TASKS), 15_000)
    }
  },
  90_000,
)
