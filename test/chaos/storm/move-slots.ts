import { type NodeView, planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes } from '../../../src/cluster/move/index.js'
import { command, nameOf, type StormCluster, statusOf, until } from './cluster.js'

const KEYS_PER_CALL = 20
const WHOLE_MS = 30_000

export type Mover = (cluster: StormCluster, slot: number, from: NodeView, to: NodeView) => Promise<void>

/**
 * Moves a slot. A second fault may make one of the two masters a replica in the middle of that; then whoever is on call has
 * `cluster fix` bring the move to an end. @returns whether the two are masters still
 */
export async function moveOrFix(
  move: Mover,
  ...[cluster, slot, from, to]: Parameters<Mover>
): Promise<boolean> {
  try {
    await move(cluster, slot, from, to)
    return true
  } catch (error) {
    await cluster.whole(WHOLE_MS)
    const { nodes } = await statusOf(cluster)
    const isMaster = ({ id }: NodeView) => nodes.some((node) => node.id === id && node.role === 'master')
    if (isMaster(from) && isMaster(to)) throw error
    const { left } = await (await planFix(cluster.seeds)).run({ evenIfChanged: true })
    if (left.length === 0) return false
    throw new Error(left.map(({ what, why }) => `${what}: ${why}`).join('; '), { cause: error })
  }
}

/** As `cluster rebalance` does it. */
export async function moveByRebalance(...[cluster, slot, from, to]: Parameters<Mover>): Promise<void> {
  const { nodes: views } = await statusOf(cluster)
  const masters = views.filter(({ role }) => role === 'master').map(partyOf)
  const nodes = new Nodes({})
  try {
    await moveSlots(nodes, { slots: [slot], from: partyOf(from), to: partyOf(to) }, masters)
  } finally {
    await nodes.close()
  }
}

const partyOf = (node: NodeView) => ({ ...node, name: nameOf(node) })

/**
 * In the order that the cluster specification gives ("Redis Cluster live resharding"), as redis-cli does it: clients meet ASK and
 * TRYAGAIN. MIGRATE waits for no replica, so that keys may be lost when one takes over that has not got them yet.
 */
export async function moveBySpecification(...[cluster, slot, from, to]: Parameters<Mover>): Promise<void> {
  const source = nameOf(from)
  const target = nameOf(to)
  await command(target, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
  await command(source, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
  for (;;) {
    const keys = (await command(source, 'CLUSTER', 'GETKEYSINSLOT', slot, KEYS_PER_CALL)).split(',')
    if (keys[0] === '') break
    await command(source, 'MIGRATE', to.host, to.port, '', 0, 2_000, 'REPLACE', 'KEYS', ...keys)
  }
  // The target first: should we end in between, the slot has an owner all the same.
  await command(target, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
  await command(source, 'CLUSTER', 'SETSLOT', slot, 'NODE', to.id)
  await until(`slot ${slot} belongs to ${target}`, 10_000, async () => {
    const { nodes } = await statusOf(cluster)
    const owner = nodes.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
    return owner?.id === to.id && owner.openSlots.length === 0
  })
}
