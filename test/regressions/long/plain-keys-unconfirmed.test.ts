import { afterEach, expect, it } from 'vitest'
import { ClusterNotReadyError, type LocalCluster, nameOf, planRebalance } from '../../../src/cluster/index.js'
import { moveSlots, Nodes, StepRefused } from '../../../src/cluster/move/index.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { readable } from '../../helpers/plain-keys.js'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** Keys of an application in slots of one master, another master, and that one's replica. */
async function scene(slotCount: number, keysPerSlot: number) {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  const masters = nodes
    .filter(({ role }) => role === 'master')
    .map((node) => ({ ...node, name: nameOf(node) }))
  const [from, to] = masters
  const replica = nodes.find(({ masterId }) => masterId === to?.id)
  if (!from || !to || !replica) throw new Error('no masters')
  const slots = slotsIn(from.slots).slice(0, slotCount)
  const names = slots.flatMap((slot) =>
    Array.from({ length: keysPerSlot }, (_, n) => `{${tagForSlot(slot)}}${n}`),
  )
  await tellAll(
    from.port,
    names.map((name) => ['SET', name, 'v']),
  )
  const counted = async (port: number) => {
    const counts = await Promise.all(slots.map((slot) => tell(port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)))
    return counts.reduce((sum, count) => sum + Number(count), 0)
  }
  const promoted = async () => {
    await cluster.killNode(to.port)
    await cluster.resumeNode(replica.port)
    await eventually(async () => expect(await tell(replica.port, 'ROLE')).toMatch(/^master/), 15_000)
  }
  return { cluster, masters, from, to, replica, slots, names, counted, promoted }
}

/** At once, in the middle of something. */
function stop(cluster: LocalCluster, port: number): void {
  const node = cluster.nodes.find((each) => each.port === port)
  if (node) process.kill(node.pid, 'SIGSTOP')
}

/** It counts as connected until repl-timeout, 60 s. MIGRATE removed all keys at the old owner, and none was left when the new one died. */
it.each([
  ['few keys in each of many slots', 20, 5],
  ['many keys in one slot', 1, 300],
])(
  '%s stay where they are while the replica of their new owner stands still',
  async (_, ...sizes) => {
    const { cluster, masters, from, to, replica, slots, names, counted, promoted } = await scene(...sizes)
    const nodes = new Nodes({})
    closers.push(() => nodes.close())
    await cluster.freezeNode(replica.port)
    const end = await moveSlots(nodes, { slots, from, to }, masters).catch((error: Error) => error)
    const kept = await counted(from.port)
    await promoted()
    await eventually(async () => expect(await readable(cluster, names)).toBe(names.length), 15_000)
    expect(kept).toBe(names.length)
    expect(end).toBeInstanceOf(StepRefused)
    expect(end).toMatchObject({ remedy: expect.stringContaining('shardq cluster check') })
  },
  60_000,
)

it('a rebalance to a master whose replica stops meanwhile ends, and says so', async () => {
  const { cluster, from, replica, names, counted } = await scene(20, 5)
  let isFrozen = false
  const options = { weights: { [from.id]: 0.5 }, agreeMs: 5_000 }
  const plan = await planRebalance(cluster.seeds, {
    ...options,
    onProgress: ({ state }) => {
      if (isFrozen || state !== 'moving') return
      isFrozen = true
      stop(cluster, replica.port)
    },
  })
  const end = await plan.run().catch((error: Error) => error)
  await cluster.resumeNode(replica.port)
  expect(isFrozen).toBe(true)
  expect(end).toBeInstanceOf(ClusterNotReadyError)
  expect((end as Error).message).toMatch(/replica .*(follows|keeps up)/)
  expect(await counted(from.port)).toBe(names.length)
  expect(await (await planRebalance(cluster.seeds, options)).run()).toMatchObject({ left: [] })
  expect(await readable(cluster, names)).toBe(names.length)
}, 120_000)

it('no more than one call has moved without a replica that has it', async () => {
  const { cluster, masters, from, to, replica, slots, names, counted } = await scene(1, 500)
  let isFrozen = false
  const nodes = new FaultyNodes({}, {})
  closers.push(() => nodes.close())
  const moved: number[] = []
  const onProgress = ({ keys }: { keys: number }) => {
    moved.push(keys)
    if (isFrozen || keys === 0) return
    isFrozen = true
    stop(cluster, replica.port)
  }
  await expect(moveSlots(nodes, { slots, from, to }, masters, { onProgress })).rejects.toThrow(StepRefused)
  expect(isFrozen).toBe(true)
  await cluster.resumeNode(replica.port)
  // The hundred that a replica has, and those that were on their way when it stopped.
  expect(await counted(from.port)).toBeGreaterThanOrEqual(names.length - 200)
  // With the note of the move, beside those that have come.
  expect((await counted(from.port)) + (await counted(to.port))).toBe(names.length + 1)
}, 60_000)
