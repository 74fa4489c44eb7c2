import type { Nodes } from '../fix/nodes.js'
import { type Party, StepRefused } from '../fix/steps.js'

/**
 * Hands slots without keys from one master to another, all at once. As with a slot that has keys, both ends are opened first, so
 * that a key which a client writes meanwhile comes to be on the new owner; broken off, they are open, and closed or finished by
 * the next look.
 * @returns slots that turned out to have keys; they are open at both ends, as a move of them begins
 */
export async function moveEmpty(
  nodes: Nodes,
  slots: readonly number[],
  { from, to }: { readonly from: Party; readonly to: Party },
  masters: readonly Party[],
): Promise<number[]> {
  const each = (party: Party, some: readonly number[], ...state: string[]) =>
    Promise.all(some.map((slot) => nodes.setSlot(party, slot, ...state)))
  await each(to, slots, 'IMPORTING', from.id)
  await each(from, slots, 'MIGRATING', to.id)
  const counts = await Promise.all(slots.map((slot) => nodes.countKeys(from, slot)))
  const empty = slots.filter((_, i) => counts[i] === 0)
  await each(to, empty, 'NODE', to.id)
  await each(from, empty, 'NODE', to.id)
  const others = masters.filter(({ id }) => id !== from.id && id !== to.id)
  await Promise.all(others.map((party) => each(party, empty, 'NODE', to.id)))
  await expectMoved(nodes, empty, { from, to })
  return slots.filter((slot) => !empty.includes(slot))
}

async function expectMoved(
  nodes: Nodes,
  slots: readonly number[],
  { from, to }: { readonly from: Party; readonly to: Party },
): Promise<void> {
  const [old, now] = await Promise.all([nodes.self(from), nodes.self(to)])
  const owns = (slot: number) => now.slots.some(([first, last]) => first <= slot && slot <= last)
  const wrong = slots.find(
    (slot) => !owns(slot) || [...old.open, ...now.open].some((open) => open.slot === slot),
  )
  if (wrong !== undefined) throw new StepRefused(`${to.name} did not become the owner of slot ${wrong}`)
}
