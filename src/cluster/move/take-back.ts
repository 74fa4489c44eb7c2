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
    // Its disk is full, or its replicas are gone, and it refuses to remove as it refuses all that writes. The owner is not to refuse its clients for
    // as long as that lasts.
    if (error instanceof NodeRefuses && (await isOnlyCopies(nodes, to, names)))
      await close(nodes, move, names)
    throw error
  }
  await close(nodes, move, [])
}

/**
 * The end that imports first, as in `fix`: from then on no key can come to be there. With keys it imports the slot still, and `fix` and the next
 * move find them, and the note of copies beside them.
 * @param copies what may be there, since the owner has all of it
 */
async function close(nodes: Nodes, { slot, from, to }: Slot, copies: readonly Buffer[]): Promise<void> {
  await nodes.setSlot(to, slot, 'STABLE')
  const known = new Set(copies.map((name) => name.toString('latin1')))
  const there = await nodes.keyNames(to, slot)
  if (there.every((name) => known.has(name.toString('latin1')))) await nodes.setSlot(from, slot, 'STABLE')
  if (there.length > 0) await nodes.setSlot(to, slot, 'IMPORTING', from.id)
}
