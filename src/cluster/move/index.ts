/**
 * Moves slots from one node to another, under load. How, what it costs others, and what is left when it is broken off:
 * docs/migration.md.
 */
import { settle } from './claim.js'
import { moveEmptySlots } from './empty-slots.js'
import { expectServing } from './expect.js'
import { inFlights } from './flights.js'
import { moveSlot } from './move-slot.js'
import type { Nodes } from './nodes.js'
import { expectNoOldKeys } from './old-keys.js'
import { type Party, StepRefused } from './party.js'
import { partitionTag } from './queue-keys.js'
import { moveSmallSlots } from './small-slots.js'
import { expectNoStrays } from './strays.js'
import { type MoveProgress, Tally } from './tally.js'

export { Nodes } from './nodes.js'
export { NodeRefuses, NoRoomError, type Party, StepRefused } from './party.js'
export { expectNoStrays } from './strays.js'
export type { MoveProgress } from './tally.js'

export interface SlotMove {
  readonly slots: readonly number[]
  /** Owner of all of them, but for those that have arrived already. */
  readonly from: Party
  readonly to: Party
}

export interface MoveOptions {
  /**
   * Size by MEMORY USAGE above which a key that is not a queue's is not moved, since both nodes stand still meanwhile. Default
   * 32 MB. Keys of a queue may be as big as they like.
   */
  readonly bigKeyBytes?: number
  /** Move such keys all the same. Default false. */
  readonly bigKeys?: boolean
  /**
   * Ends it after some slots without keys or with few, a hundred keys, or, of a partition that is being copied, at once. What is done stays done; up to
   * eight slots with many keys stay open, each key at one end or the other, where clients find it.
   */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: (progress: MoveProgress) => void
}

export const BIG_KEY_BYTES = 32 * 1024 * 1024
/** Slots with many or big keys that are open at once. */
const OPEN_AT_ONCE = 8
/** Keys of a slot that are looked at to tell whether a partition is in it. */
const SAMPLE = 10

/**
 * Moves all slots, first those without keys, then those with few. Broken off at any place, by `signal`, a failure or the end of this process, it may
 * be called again with the same slots.
 * @param masters all masters, which are told at once
 * @throws StepRefused with a way out, for instance when a slot is neither node's; NodeNotEmptyError when `from` would become a replica and has
 *   keys of slots that it does not own; NodeUnreachableError; what a node fails with
 */
export async function moveSlots(
  nodes: Nodes,
  { slots, from, to }: SlotMove,
  masters: readonly Party[],
  options: MoveOptions = {},
): Promise<'moved' | 'interrupted'> {
  const { signal, bigKeys = false, bigKeyBytes = BIG_KEY_BYTES } = options
  await expectServing(nodes, [from, to], signal)
  await expectNoStrays(nodes, from, slots, [to.id])
  const left = await slotsLeft(nodes, { slots, from, to }, masters)
  const tally = new Tally(slots.length, slots.length - left.all.length, options.onProgress)
  const onSlots = (moved: number) => tally.slotsArrived(moved)
  const free = { slots: left.free, from, to }
  await moveEmptySlots(nodes, free, masters, { isOpen: true, onSlots })
  const empty = { slots: left.empty, from, to }
  const { occupied, interrupted } = await moveEmptySlots(nodes, empty, masters, { signal, onSlots })
  if (interrupted) return 'interrupted'
  const move = async (slot: number): Promise<'moved' | 'interrupted'> => {
    const told = tally.forSlot()
    await expectNoOldKeys(nodes, { slot, from, to })
    const end = await moveSlot(nodes, { slot, from, to }, masters, { bigKeys, bigKeyBytes, signal, ...told })
    if (end === 'moved') tally.slotsArrived(1)
    return end
  }
  const small = await moveSmallSlots(nodes, { slots: [...left.occupied, ...occupied], from, to }, masters, {
    signal,
    onSlots: (moved, keys) => {
      tally.forSlot().onKeys(keys)
      tally.slotsArrived(moved)
    },
  })
  if (small.interrupted) return 'interrupted'
  const [partitions, plain] = await apart(nodes, from, small.rest)
  // A partition is closed while it is on its way: not several at once.
  const done = (await atOnce(OPEN_AT_ONCE, plain, move)) && (await atOnce(1, partitions, move))
  return done ? 'moved' : 'interrupted'
}

interface Left {
  readonly all: readonly number[]
  /** The old owner has let go of them, and takes the new one for the owner, which has not claimed them: its keys are there. */
  readonly free: readonly number[]
  /** Without keys, and open at neither end. */
  readonly empty: readonly number[]
  readonly occupied: readonly number[]
}

/** Without those that have arrived; what was not done of their end is done. @throws StepRefused */
async function slotsLeft(
  nodes: Nodes,
  { slots, from, to }: SlotMove,
  masters: readonly Party[],
): Promise<Left> {
  const [source, target, view] = await Promise.all([nodes.self(from), nodes.self(to), nodes.view(from)])
  const ownedBy = (ranges: readonly (readonly [number, number])[]) =>
    new Set(ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i)))
  const [here, there] = [ownedBy(source.slots), ownedBy(target.slots)]
  const believedThere = ownedBy(view.find(({ id }) => id === to.id)?.slots ?? [])
  const open = new Set([...source.open, ...target.open].map(({ slot }) => slot))
  const all: number[] = []
  for (const slot of slots) {
    if (there.has(slot)) {
      if (open.has(slot) || here.has(slot)) await settle(nodes, { slot, from, to }, masters)
    } else if (here.has(slot) || believedThere.has(slot)) {
      all.push(slot)
    } else {
      throw new StepRefused(`slot ${slot} is neither ${from.name}'s nor ${to.name}'s`)
    }
  }
  const counts = await inFlights(all, (slot) =>
    Promise.all([nodes.countKeys(from, slot), nodes.countKeys(to, slot)]),
  )
  const kindOf = (slot: number, i: number) => {
    const [before = 0, after = 0] = counts[i] ?? []
    if (before + after === 0 && !open.has(slot)) return 'empty'
    return before === 0 && !here.has(slot) ? 'free' : 'occupied'
  }
  const kinds = all.map(kindOf)
  const of = (kind: string) => all.filter((_, i) => kinds[i] === kind)
  return { all, free: of('free'), empty: of('empty'), occupied: of('occupied') }
}

/** Slots with a partition, and slots without. */
async function apart(nodes: Nodes, from: Party, slots: readonly number[]): Promise<[number[], number[]]> {
  const samples = await inFlights(slots, (slot) => nodes.keyNames(from, slot, SAMPLE))
  const has = samples.map((names) => names.some((name) => partitionTag(name) !== undefined))
  return [slots.filter((_, i) => has[i]), slots.filter((_, i) => !has[i])]
}

/** The first that fails or is interrupted is the last that is begun; those under way end before. */
async function atOnce(
  most: number,
  slots: readonly number[],
  move: (slot: number) => Promise<'moved' | 'interrupted'>,
): Promise<boolean> {
  const waiting = [...slots]
  let ended = false
  const lanes = Array.from({ length: Math.min(most, slots.length) }, async () => {
    for (let slot = waiting.shift(); slot !== undefined && !ended; slot = waiting.shift()) {
      try {
        if ((await move(slot)) === 'interrupted') ended = true
      } catch (error) {
        ended = true
        throw error
      }
    }
  })
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected')
  if (failed) throw failed.reason
  return !ended
}
