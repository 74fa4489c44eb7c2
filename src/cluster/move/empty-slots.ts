import { nameOf } from '../link.js'
import { type Claimed, expectBelieved, expectUndisputed, tooSlow } from './belief.js'
import { takeLead } from './epoch.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { ownersIn } from './opinions.js'
import { others, type Party, StepRefused } from './party.js'

/** Slots that are nobody's for the moment between two round trips, and until a new try if we end in it. */
const BATCH = 256

/**
 * Gives away slots without keys, without opening them. The old owner lets go first: it refuses to as long as it has a key, and
 * then none can come to be there. Had the new one claimed first, a key written to the old one meanwhile would be dropped.
 * @returns those that do have keys
 */
export async function moveEmptySlots(
  nodes: Nodes,
  { slots, from, to }: { readonly slots: readonly number[]; readonly from: Party; readonly to: Party },
  masters: readonly Party[],
  options: { readonly signal?: AbortSignal | undefined; readonly onSlots?: (moved: number) => void },
): Promise<{ readonly occupied: readonly number[]; readonly interrupted: boolean }> {
  const occupied: number[] = []
  for (let at = 0; at < slots.length; at += BATCH) {
    if (options.signal?.aborted) return { occupied, interrupted: true }
    const batch = slots.slice(at, at + BATCH)
    // Before it claims anything: a claim with an older epoch is corrected by the others.
    await takeLead(nodes, to, masters)
    const released = await letAllGo(nodes, { slots: batch, from, to })
    const free = batch.filter((_, i) => released[i])
    occupied.push(...batch.filter((_, i) => !released[i]))
    await inFlights(free, (slot) => nodes.setSlot(to, slot, 'NODE', to.id))
    await Promise.all(
      others(masters, [from, to]).map((node) =>
        inFlights(free, (slot) => nodes.setSlot(node, slot, 'NODE', to.id)),
      ),
    )
    if (free.length > 0) await expectBelieved(nodes, { slots: free, from, to }, { everywhere: false })
    options.onSlots?.(free.length)
  }
  return { occupied, interrupted: false }
}

/** What was let go of is the old owner's again where it cannot be claimed at once. @returns of each slot whether it has no owner now */
async function letAllGo(nodes: Nodes, claimed: Claimed): Promise<readonly boolean[]> {
  const { slots, from, to } = claimed
  const isUndisputed = await expectUndisputed(nodes, claimed)
  try {
    const released = await inFlights(slots, (slot) => letGo(nodes, from, slot, to))
    if (!isUndisputed()) throw tooSlow(nodes)
    return released
  } catch (error) {
    // One that has become a replica meanwhile refuses, and has nothing to take back.
    await Promise.allSettled(slots.map((slot) => nodes.setSlot(from, slot, 'NODE', from.id)))
    throw error
  }
}

/** @returns whether it has; not if it has keys of the slot. @throws StepRefused when it is not its own to give away */
async function letGo(nodes: Nodes, from: Party, slot: number, to: Party): Promise<boolean> {
  try {
    await nodes.setSlot(from, slot, 'NODE', to.id)
    return true
  } catch (error) {
    const { message } = error as Error
    if (message.includes('still hold keys')) return false
    if (!message.includes('only with masters')) throw error
    // It has become a replica: as the slot before was its last one; or as somebody was promoted in its place, who may have keys by now.
    const [owner] = ownersIn(await nodes.view(from), [slot])
    if (owner?.id === to.id) return true
    throw new StepRefused(
      `${from.name} has become a replica, and slot ${slot} is ${owner ? nameOf(owner) : 'nobody'}'s`,
    )
  }
}
