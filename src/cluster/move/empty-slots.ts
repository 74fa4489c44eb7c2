import { takeLead } from './epoch.js'
import { handOver } from './hand-over.js'
import type { Nodes } from './nodes.js'
import type { Party } from './party.js'

/** Slots that are nobody's for the moment between two round trips, and until a new try if we end in it. */
const BATCH = 256

/**
 * Gives away slots of which the old owner has no keys, without opening them.
 * @param options.isOpen they are open at the new owner, and the old one has let go of them: a try before was broken off in between
 * @returns those that do have keys
 */
export async function moveEmptySlots(
  nodes: Nodes,
  { slots, from, to }: { readonly slots: readonly number[]; readonly from: Party; readonly to: Party },
  masters: readonly Party[],
  options: {
    readonly isOpen?: boolean
    readonly signal?: AbortSignal | undefined
    readonly onSlots?: (moved: number) => void
  },
): Promise<{ readonly occupied: readonly number[]; readonly interrupted: boolean }> {
  const { isOpen = false } = options
  const occupied: number[] = []
  for (let at = 0; at < slots.length; at += BATCH) {
    if (options.signal?.aborted) return { occupied, interrupted: true }
    const batch = slots.slice(at, at + BATCH)
    // Before it claims anything: a claim with an older epoch is corrected by the others.
    await takeLead(nodes, to, masters)
    const kept = await handOver(nodes, { slots: batch, from, to }, masters, { isOpen })
    occupied.push(...kept)
    options.onSlots?.(batch.length - kept.length)
  }
  return { occupied, interrupted: false }
}
