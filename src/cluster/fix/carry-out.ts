import { poll } from '../ready.js'
import { parseFields } from '../replies.js'
import type { OpenSlot } from '../slots.js'
import { clearWay, type Move, type MoveOptions, moveKeys } from './move-keys.js'
import type { Nodes } from './nodes.js'
import { type FixStep, type Party, StepRefused } from './steps.js'

/** Longest wait for what was ordered to show, in ms. */
const SHOW_MS = 10_000

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
  options: MoveOptions,
): Promise<'done' | 'interrupted'> {
  switch (step.kind) {
    case 'close':
      return close(nodes, step)
    case 'finish':
      return finish(nodes, step, masters, options)
    case 'bring-home':
      return bringHome(nodes, step, options)
    case 'assign':
      return assign(nodes, step, masters)
    case 'forget':
      return forget(nodes, step)
  }
}

/**
 * The end that imports first. From then on a client that the owner sends there is sent back, so no key can come to be there;
 * if one has in the last moment, the end is opened again and the slot is one to be finished.
 */
async function close(nodes: Nodes, { slot, sides }: Step<'close'>): Promise<'done'> {
  for (const { node, owns, direction, peer } of sides) {
    await nodes.setSlot(node, slot, 'STABLE')
    if (owns || (await nodes.countKeys(node, slot)) === 0) continue
    await restore(nodes, node, slot, { direction, peer })
    throw new StepRefused(`keys of it have come to ${node.name} meanwhile`)
  }
  for (const { node } of sides) await expectClosed(nodes, node, slot)
  return 'done'
}

/**
 * Both ends open, the owner sends whoever asks for a key that it has not to where it may be, so no key can come to be on both.
 * The new owner is told first: should we end in between, the slot has an owner all the same.
 */
async function finish(
  nodes: Nodes,
  { slot, from, to }: Step<'finish'>,
  masters: readonly Party[],
  options: MoveOptions,
): Promise<'done' | 'interrupted'> {
  await expectServing(nodes, [from, to])
  const before = await nodes.openSlot(to, slot)
  await nodes.setSlot(to, slot, 'IMPORTING', from.id)
  const move: Move = { slot, from, to, serves: 'from' }
  try {
    await clearWay(nodes, move, options)
  } catch (error) {
    await restore(nodes, to, slot, before)
    throw error
  }
  await nodes.setSlot(from, slot, 'MIGRATING', to.id)
  if ((await moveKeys(nodes, move, options)) === 'interrupted') return 'interrupted'
  for (const node of [to, from, ...others(masters, [to, from])])
    await nodes.setSlot(node, slot, 'NODE', to.id)
  await expectOwner(nodes, to, [slot])
  await expectClosed(nodes, from, slot)
  return 'done'
}

/** The owner serves the slot all the while and knows nothing of it; the other opens it only to be allowed to read. */
async function bringHome(
  nodes: Nodes,
  { slot, from, to }: Step<'bring-home'>,
  options: MoveOptions,
): Promise<'done' | 'interrupted'> {
  await expectServing(nodes, [from, to])
  const before = await nodes.openSlot(from, slot)
  await nodes.setSlot(from, slot, 'IMPORTING', to.id)
  const move: Move = { slot, from, to, serves: 'to' }
  let end: 'moved' | 'interrupted' | undefined
  try {
    await clearWay(nodes, move, options)
    end = await moveKeys(nodes, move, options)
  } finally {
    await restore(nodes, from, slot, end === 'moved' ? undefined : before)
  }
  if (end === 'interrupted') return end
  await expectClosed(nodes, from, slot)
  return 'done'
}

/** With a new epoch, so that the others believe it over what they may have heard before. */
async function assign(
  nodes: Nodes,
  { slots, to }: Step<'assign'>,
  masters: readonly Party[],
): Promise<'done'> {
  await Promise.all(slots.map((slot) => nodes.setSlot(to, slot, 'NODE', to.id)))
  await nodes.text(to, 'CLUSTER', 'BUMPEPOCH')
  for (const node of others(masters, [to]))
    await Promise.all(slots.map((slot) => nodes.setSlot(node, slot, 'NODE', to.id)))
  await expectOwner(nodes, to, slots)
  return 'done'
}

/** On every node within the minute for which it lasts: one that still knows it tells the others again. */
async function forget(nodes: Nodes, { node, at }: Step<'forget'>): Promise<'done'> {
  await Promise.all(at.map((each) => nodes.text(each, 'CLUSTER', 'FORGET', node.id)))
  for (const each of at) {
    if ((await nodes.text(each, 'CLUSTER', 'NODES')).includes(node.id))
      throw new StepRefused(`${each.name} still knows it`)
  }
  return 'done'
}

/** What is refused leaves the slot as it was found. */
async function restore(
  nodes: Nodes,
  node: Party,
  slot: number,
  before: Pick<OpenSlot, 'direction' | 'peer'> | undefined,
): Promise<void> {
  await nodes.setSlot(node, slot, ...(before ? [before.direction.toUpperCase(), before.peer] : ['STABLE']))
}

const others = (masters: readonly Party[], named: readonly Party[]) =>
  masters.filter(({ id }) => !named.some((each) => each.id === id))

async function expectClosed(nodes: Nodes, node: Party, slot: number): Promise<void> {
  const open = await nodes.openSlot(node, slot)
  if (open) throw new StepRefused(`${node.name} still has it open (${open.direction})`)
}

async function expectOwner(nodes: Nodes, owner: Party, slots: readonly number[]): Promise<void> {
  const { slots: owned } = await nodes.self(owner)
  const missing = slots.find((slot) => !owned.some(([first, last]) => first <= slot && slot <= last))
  if (missing !== undefined) throw new StepRefused(`${owner.name} does not claim slot ${missing} after all`)
}

/** A node that has just got slots may say for up to 5 s that the cluster is down, and moves no keys until then. */
async function expectServing(nodes: Nodes, parties: readonly Party[]): Promise<void> {
  await poll({ timeoutMs: SHOW_MS }, async () => {
    const missing: string[] = []
    for (const party of parties) {
      const fields = parseFields(await nodes.text(party, 'CLUSTER', 'INFO'))
      if (fields.get('cluster_state') !== 'ok') missing.push(`${party.name} says cluster_state:fail`)
    }
    return missing.length === 0 ? { done: undefined } : { missing }
  })
}
