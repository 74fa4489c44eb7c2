import type { NodeView } from '../../../src/cluster/index.js'
import { command, nameOf, type StormCluster, statusOf, until } from './cluster.js'

const KEYS_PER_CALL = 20

/** Moves one slot with its keys, in the order that the cluster specification gives ("Redis Cluster live resharding"). */
export async function moveSlot(
  cluster: StormCluster,
  slot: number,
  from: NodeView,
  to: NodeView,
): Promise<void> {
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
