import { dropCopies } from './copies.js'
import type { Move } from './move-keys.js'
import type { Nodes } from './nodes.js'

/**
 * Closes the slot again, if the owner has all of it: the partitions in it work on at once. Not if keys have moved already, or
 * if the other node owns it by now.
 */
export async function takeBack(
  nodes: Nodes,
  { slot, from, to }: Pick<Move, 'slot' | 'from' | 'to'>,
): Promise<void> {
  if (await nodes.owns(to, slot)) return
  await dropCopies(nodes, to, slot, await nodes.keyNames(to, slot), from)
  // The end that imports first, as in `fix`: from then on no key can come to be there.
  await nodes.setSlot(to, slot, 'STABLE')
  if ((await nodes.countKeys(to, slot)) > 0) {
    await nodes.setSlot(to, slot, 'IMPORTING', from.id)
    return
  }
  await nodes.setSlot(from, slot, 'STABLE')
}
