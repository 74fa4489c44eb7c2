import { nameOf } from '../link.js'
import { type Claimed, expectBelieved, expectUndisputed, tooSlow } from './belief.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { ownersIn } from './opinions.js'
import { others, type Party, StepRefused } from './party.js'

/**
 * Gives slots away of which the old owner has no key any more. It lets go first: it refuses to as long as it has one, and then none can come to be
 * there. Had the new one claimed first, what was written to the old one meanwhile would be dropped when that one hears of it. In between, for the
 * time of two round trips, each of the two sends clients to the other.
 * @param isOpen whether they are open at both ends: then the old owner may have sent keys away, and takes none back without sending clients
 *   after them
 * @returns those of which the old owner has keys, which are as they were
 * @throws StepRefused; they are the old owner's again where nothing was claimed
 */
export async function handOver(
  nodes: Nodes,
  claimed: Claimed,
  masters: readonly Party[],
  { isOpen }: { readonly isOpen: boolean },
): Promise<readonly number[]> {
  const { slots, from, to } = claimed
  const isUndisputed = await expectUndisputed(nodes, claimed)
  const again = (slot: number) => (isOpen ? openAgain(nodes, from, slot, to) : takeAgain(nodes, from, slot))
  let free: readonly number[] = []
  let isClaimed = false
  try {
    const released = await inFlights(slots, (slot) => letGo(nodes, from, slot, to))
    free = slots.filter((_, i) => released[i])
    if (!isUndisputed()) throw tooSlow(nodes)
    isClaimed = true
    await inFlights(free, (slot) => nodes.setSlot(to, slot, 'NODE', to.id))
  } catch (error) {
    // What may have been claimed it would drop again when it hears of it, with what was written to it, unless it sends clients on.
    // One that has become a replica meanwhile refuses, and has nothing to take back.
    if (isOpen || !isClaimed) await Promise.allSettled(slots.map(again))
    throw error
  }
  const kept = slots.filter((slot) => !free.includes(slot))
  // Somebody may have closed it there, and the rest of its keys are at the other end.
  if (isOpen) for (const slot of kept) await again(slot)
  if (free.length === 0) return kept
  await tellAll(nodes, free, to, others(masters, [to, ...(isOpen ? [] : [from])]))
  await expectBelieved(nodes, { slots: free, from, to }, { everywhere: false })
  return kept
}

async function tellAll(
  nodes: Nodes,
  slots: readonly number[],
  owner: Party,
  parties: readonly Party[],
): Promise<void> {
  await Promise.all(parties.map((node) => inFlights(slots, (slot) => tell(nodes, node, slot, owner))))
}

/** One that has given its last slot away has become a replica, and is told nothing any more. */
export async function tell(nodes: Nodes, node: Party, slot: number, owner: Party): Promise<void> {
  try {
    await nodes.setSlot(node, slot, 'NODE', owner.id)
  } catch (error) {
    if (!(error as Error).message.includes('only with masters')) throw error
  }
}

const takeAgain = (nodes: Nodes, from: Party, slot: number) => nodes.setSlot(from, slot, 'NODE', from.id)

/** In one go: as its owner without sending clients on, it would take writes of keys that are at the other end. */
async function openAgain(nodes: Nodes, from: Party, slot: number, to: Party): Promise<void> {
  const link = await nodes.link(from)
  const [, , , done] = await Promise.all([
    link.text('MULTI'),
    link.text('CLUSTER', 'SETSLOT', slot, 'NODE', from.id),
    link.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id),
    link.reply('EXEC'),
  ])
  const failed = (done as unknown[]).find((reply) => reply instanceof Error)
  if (failed) throw failed
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
