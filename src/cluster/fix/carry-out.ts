import { setTimeout as sleep } from 'node:timers/promises'
import { nameOf } from '../link.js'
import { dropCopies, dropDoubles } from '../move/copies.js'
import { takeLead } from '../move/epoch.js'
import { expectClosed, expectOwner, expectServing, restore, tellOwner } from '../move/expect.js'
import { inFlights } from '../move/flights.js'
import { clearWay, type Move, moveKeys } from '../move/move-keys.js'
import { type MoveSlotOptions, moveSlot } from '../move/move-slot.js'
import type { Nodes } from '../move/nodes.js'
import { opinionsOfOthers, ownersIn, selfIn } from '../move/opinions.js'
import { keys, others } from '../move/party.js'
import { isCopiesKey } from '../move/queue-keys.js'
import { expectNoStrays } from '../move/strays.js'
import { keyCounts } from '../slot-keys.js'
import type { OpenSlot } from '../slots.js'
import { close } from './close.js'
import { giveItBack } from './give-back.js'
import { introduce } from './lost-sight.js'
import { rejoin } from './rejoin.js'
import { type FixStep, type Party, StepRefused } from './steps.js'

/** Longest wait until a replica has heard whose the slots are. */
const HEARD_MS = 10_000
const POLL_MS = 100

type Step<Kind extends FixStep['kind']> = Extract<FixStep, { kind: Kind }>

/**
 * Does one step and looks whether it is done. Broken off at any place, by us, a crash or a node that dies, it leaves what a
 * new look sees as the same thing to mend, or as less of it.
 * @throws StepRefused, and what a node that is asked fails with
 */
export async function carryOut(
  nodes: Nodes,
  step: FixStep,
  masters: readonly Party[],
  options: MoveSlotOptions,
): Promise<'done' | 'interrupted'> {
  switch (step.kind) {
    case 'close':
      return close(nodes, step, masters)
    case 'finish':
      return finish(nodes, step, masters, options)
    case 'bring-home':
      return bringHome(nodes, step, options)
    case 'drop-same':
      return dropSame(nodes, step, options)
    case 'assign':
      return assign(nodes, step, masters)
    case 'rejoin':
      return rejoin(nodes, step, masters, options)
    case 'introduce':
      return introduce(nodes, step)
    case 'give-back':
      return giveItBack(nodes, step, masters)
    case 'forget':
      return forget(nodes, step)
  }
}

async function finish(
  nodes: Nodes,
  step: Step<'finish'>,
  masters: readonly Party[],
  options: MoveSlotOptions,
): Promise<'done' | 'interrupted'> {
  await expectServing(nodes, [step.from, step.to], options.signal)
  await expectNoStrays(nodes, step.from, [step.slot], [step.to.id])
  return (await moveSlot(nodes, step, masters, options)) === 'moved' ? 'done' : 'interrupted'
}

/** The owner serves the slot all the while and knows nothing of it; the other opens it only to be allowed to read. */
async function bringHome(
  nodes: Nodes,
  step: Step<'bring-home'>,
  options: MoveSlotOptions,
): Promise<'done' | 'interrupted'> {
  const { slot, from, to } = step
  const before = await openToRead(nodes, step, options)
  const move: Move = { slot, from, to, serves: 'to' }
  let end: 'moved' | 'interrupted' | undefined
  try {
    // They come home; what is noted of a move is of no more use.
    const notes = (await nodes.keyNames(from, slot)).filter(isCopiesKey)
    await dropCopies(nodes, from, slot, notes, to)
    await clearWay(nodes, move, options)
    end = await moveKeys(nodes, move, options)
  } finally {
    await restore(nodes, from, slot, end === 'moved' ? undefined : before)
  }
  if (end === 'interrupted') return end
  await expectClosed(nodes, from, slot)
  return 'done'
}

async function openToRead(
  nodes: Nodes,
  { slot, from, to }: Step<'bring-home' | 'drop-same'>,
  { signal }: MoveSlotOptions,
): Promise<OpenSlot | undefined> {
  await expectServing(nodes, [from, to], signal)
  if (await nodes.owns(from, slot)) throw new StepRefused(`slot ${slot} is ${from.name}'s by now`)
  if (!(await nodes.owns(to, slot))) throw new StepRefused(`slot ${slot} is not ${to.name}'s any more`)
  const before = await nodes.openSlot(from, slot)
  await tellOwner(nodes, from, slot, to)
  await nodes.setSlot(from, slot, 'IMPORTING', to.id)
  return before
}

/** What is not the same stays, and is told by the look that follows. */
async function dropSame(
  nodes: Nodes,
  step: Step<'drop-same'>,
  options: MoveSlotOptions,
): Promise<'done' | 'interrupted'> {
  const before = await openToRead(nodes, step, options)
  let end: 'done' | 'interrupted' | undefined
  try {
    end = await dropDoubles(nodes, step, options.signal)
  } finally {
    await restore(nodes, step.from, step.slot, end === 'done' ? undefined : before)
  }
  return end
}

/**
 * Nobody's slots get an owner. The others are told first, and one that has it and keys of it refuses by itself: then nothing has happened
 * yet. With the latest epoch, so that they believe the claim over what they may have heard before.
 */
async function assign(nodes: Nodes, step: Step<'assign'>, masters: readonly Party[]): Promise<'done'> {
  const { slots, to } = step
  await takeLead(nodes, to, masters)
  await expectNobodys(nodes, step, masters)
  for (const node of others(masters, [to]))
    await inFlights(slots, (slot) => nodes.setSlot(node, slot, 'NODE', to.id))
  await inFlights(slots, (slot) => nodes.setSlot(to, slot, 'NODE', to.id))
  await expectOwner(nodes, to, slots)
  return 'done'
}

/** By the word of every node, also of one that was promoted a moment ago: none owns them, and none has keys but who is to get them. @throws StepRefused */
async function expectNobodys(
  nodes: Nodes,
  { slots, to }: Step<'assign'>,
  masters: readonly Party[],
): Promise<void> {
  for (const { node, view } of await opinionsOfOthers(nodes, to)) {
    if (!view)
      throw new StepRefused(
        `${nameOf(node)} does not answer, and may own slots of these by now`,
        'start it; or wait until the others count it as failed; then again: shardq cluster fix',
      )
    const self = selfIn(view)
    const owned = self ? ownersIn([self], slots) : []
    const own = slots.find((_, i) => owned[i])
    if (own !== undefined) throw new StepRefused(`slot ${own} is ${nameOf(node)}'s by now`)
  }
  for (const node of masters) {
    if (node.id === to.id) continue
    const [kept] = await keyCounts(await nodes.link(node), slots)
    if (kept) throw new StepRefused(`${node.name} has ${keys(kept[1])} of slot ${kept[0]}`)
  }
}

/** On every node within the minute for which it lasts: one that still knows it tells the others again. */
async function forget(nodes: Nodes, { node, at }: Step<'forget'>): Promise<'done'> {
  for (const each of at) await expectGone(nodes, node, each)
  await Promise.all(at.map((each) => nodes.text(each, 'CLUSTER', 'FORGET', node.id)))
  for (const each of at) {
    if ((await nodes.text(each, 'CLUSTER', 'NODES')).includes(node.id))
      throw new StepRefused(`${each.name} still knows it`)
  }
  return 'done'
}

/**
 * Its slots may have been given to others just before, and a replica hears of that a moment later. One that follows it cannot forget it.
 * @throws StepRefused
 */
async function expectGone(nodes: Nodes, node: Party, at: Party): Promise<void> {
  const deadline = performance.now() + HEARD_MS
  for (;;) {
    const view = await nodes.view(at)
    const seen = view.find(({ id }) => id === node.id)
    if (seen?.linkState === 'connected' && !seen.flags.some((flag) => flag.startsWith('fail')))
      throw new StepRefused(`${node.name} answers ${at.name} by now`)
    const isFollowed = selfIn(view)?.masterId === node.id
    if (!isFollowed && (!seen || seen.slots.length === 0)) return
    if (performance.now() > deadline)
      throw new StepRefused(
        isFollowed ? `${at.name} follows it by now` : `${node.name} owns slots, as ${at.name} sees it`,
      )
    await sleep(POLL_MS)
  }
}
