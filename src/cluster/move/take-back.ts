import { dropCopies, isOnlyCopies } from './copies.js'
import type { Move } from './move-keys.js'
import type { Nodes } from './nodes.js'
import { NodeRefuses } from './party.js'

type Slot = Pick<Move, 'slot' | 'from' | 'to'>

/**
 * Closes the slot again, if the owner has all of it: the partitions in it work on at once. Not if keys have moved already, or
 * if the other node owns it by now.
 */
export async function takeBack(nodes: Nodes, move: Slot): Promise<void> {
  const { slot, from, to } = move
  if (await nodes.owns(to, slot)) return
  const names = await nodes.keyNames(to, slot)
  try {
    await dropCopies(nodes, to, slot, names, from)
  } catch (error) {
    // Its disk is full, or its replicas are gone, and it refuses to remove as it refuses all that writes.
    const isRefused = error instanceof NodeRefuses
    if (isRefused && (await isOnlyCopies(nodes, to, names))) await closeAtOwner(nodes, move, names)
    throw error
  }
  // The end that imports first, as in `fix`: from then on no key can come to be there.
  await nodes.setSlot(to, slot, 'STABLE')
  if ((await nodes.countKeys(to, slot)) > 0) {
    await nodes.setSlot(to, slot, 'IMPORTING', from.id)
    return
  }
  await nodes.setSlot(from, slot, 'STABLE')
}

/**
 * The owner has all keys, and is not to refuse its clients for as long as the other cannot be rid of its copies. That one imports the slot still, beside
 * its note of them, by which `fix` and the next move find and remove them.
 * @param copies all that was there when it was seen that these are mere copies
 */
async function closeAtOwner(
  nodes: Nodes,
  { slot, from, to }: Slot,
  copies: readonly Buffer[],
): Promise<void> {
  await nodes.setSlot(to, slot, 'STABLE')
  const known = new Set(copies.map((name) => name.toString('latin1')))
  const isSame = (await nodes.keyNames(to, slot)).every((name) => known.has(name.toString('latin1')))
  if (isSame) await nodes.setSlot(from, slot, 'STABLE')
  await nodes.setSlot(to, slot, 'IMPORTING', from.id)
}
