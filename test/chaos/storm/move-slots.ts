import { describeStep, type NodeView, planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes } from '../../../src/cluster/move/index.js'
import { command, nameOf, type StormCluster, statusOf, until } from './cluster.js'

const KEYS_PER_CALL = 20
const WHOLE_MS = 30_000

export type Mover = (cluster: StormCluster, slot: number, from: NodeView, to: NodeView) => Promise<void>

/**
 * Moves a slot. A second fault may break that off, or make one of the two masters a replica in the middle of it; then whoever is on
 * call has `cluster fix` bring it to an end. @returns why it was broken off, if so
 */
export async function moveOrFix(
  move: Mover,
  ...[cluster, slot, from, to]: Parameters<Mover>
): Promise<string | undefined> {
  try {
    await move(cluster, slot, from, to)
    return undefined
  } catch (error) {
    // Not whole before that: a node that imports a slot takes it for nobody's once its owner has become a replica.
    await until('what was broken off is mended', WHOLE_MS, async () => {
      const { left, agreed } = await (await planFix(cluster.seeds)).run({ evenIfChanged: true })
      return left.length === 0 && agreed
    })
    await cluster.whole(WHOLE_MS)
    return (error as Error).message
  }
}

/** @throws when a move that went well has left something to mend */
export async function mustBeClosed(cluster: StormCluster): Promise<void> {
  const { steps } = await planFix(cluster.seeds)
  if (steps.length > 0) throw new Error(`left open: ${steps.map(describeStep).join('; ')}`)
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
