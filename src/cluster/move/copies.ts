import type { NodeLink } from '../link.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import type { Party } from './party.js'
import { isCopiesKey } from './queue-keys.js'

const SCAN_COUNT = 1_000

/**
 * Removes what a copy that was broken off has left: exactly those keys that it had noted before it made them. Of an owner, only
 * the notes go: there the copies have become the keys.
 * @param imports whether the node imports the slot, and has to be asked accordingly
 */
export async function dropCopies(
  nodes: Nodes,
  party: Party,
  slot: number,
  names: readonly Buffer[],
): Promise<boolean> {
  const notes = names.filter(isCopiesKey)
  if (notes.length === 0) return false
  const owner = await nodes.owns(party, slot)
  const link = await nodes.link(party)
  for (const note of notes) {
    if (!owner) await dropNoted(link, note)
    await unlink(link, [note])
  }
  return true
}

async function dropNoted(link: NodeLink, note: Buffer): Promise<void> {
  let cursor: Buffer | string = '0'
  do {
    const [, reply] = await Promise.all([
      link.text('ASKING'),
      link.bytes('SSCAN', note, cursor, 'COUNT', SCAN_COUNT),
    ])
    const [next, copies] = reply as [Buffer, Buffer[]]
    await unlink(link, copies)
    cursor = next
  } while (String(cursor) !== '0')
}

async function unlink(link: NodeLink, names: readonly Buffer[]): Promise<void> {
  await inFlights(names, (name) => Promise.all([link.text('ASKING'), link.bytes('UNLINK', name)]))
}
