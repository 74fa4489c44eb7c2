import { keyCounts, type SlotSample, sampleKeys } from '../slot-keys.js'
import { confirmAll } from './confirm.js'
import { endMove, noteMove } from './copies.js'
import { takeLead } from './epoch.js'
import { expectNoneOpen } from './expect.js'
import { inGrowingFlights } from './flights.js'
import { handOver } from './hand-over.js'
import { migrate } from './migrate.js'
import { BATCH_BYTES, BATCH_KEYS } from './move-keys.js'
import type { Nodes } from './nodes.js'
import type { Party } from './party.js'
import { isCopiesKey, partitionTag } from './queue-keys.js'
import { takeBack } from './take-back.js'

/** Slots that are open at once: so many a crash leaves open. */
const SLOTS = 64
/** The most that a slot may have to be moved among others. */
const SLOT_BYTES = 1024 * 1024

interface Ends {
  readonly from: Party
  readonly to: Party
}

/**
 * Moves slots that have few small keys and none of a queue, many of them in as many round trips as one would take. Each is opened
 * at both ends, so that no key can come to be on both; emptied; and claimed.
 *
 * Broken off at any place, those that are open are open as any slot is whose move was broken off.
 * @returns those that are not small, or have keys at the other end already: untouched, or closed again where that can be done
 */
export async function moveSmallSlots(
  nodes: Nodes,
  { slots, from, to }: Ends & { readonly slots: readonly number[] },
  masters: readonly Party[],
  options: {
    readonly signal?: AbortSignal | undefined
    readonly onSlots?: (slots: number, keys: number) => void
  },
): Promise<{ readonly rest: readonly number[]; readonly interrupted: boolean }> {
  const rest: number[] = []
  for (let at = 0; at < slots.length; at += SLOTS) {
    if (options.signal?.aborted) return { rest, interrupted: true }
    const batch = slots.slice(at, at + SLOTS)
    const small = await smallOf(nodes, { from, to }, batch)
    const moved = await moveBatch(nodes, { from, to }, small, masters)
    const arrived = new Set(moved.map(({ slot }) => slot))
    rest.push(...batch.filter((slot) => !arrived.has(slot)))
    options.onSlots?.(
      moved.length,
      moved.reduce((sum, { names }) => sum + names.length, 0),
    )
  }
  return { rest, interrupted: false }
}

/** Looks, and changes nothing. @returns slots that are small, and nothing of them at the other end */
async function smallOf(nodes: Nodes, { from, to }: Ends, slots: readonly number[]): Promise<number[]> {
  const [samples, there] = await Promise.all([samplesOf(nodes, from, slots), countsOn(nodes, to, slots)])
  return samples.flatMap((sample) => (isSmall(sample) && !there.has(sample.slot) ? [sample.slot] : []))
}

const samplesOf = async (nodes: Nodes, party: Party, slots: readonly number[]) =>
  sampleKeys(await nodes.link(party), slots, BATCH_KEYS + 1)

const countsOn = async (nodes: Nodes, party: Party, slots: readonly number[]) =>
  keyCounts(await nodes.link(party), slots)

const isSmall = ({ names, bytes }: SlotSample) =>
  bytes <= SLOT_BYTES &&
  names.length <= BATCH_KEYS &&
  !names.some((name) => partitionTag(name) !== undefined || isCopiesKey(name))

/** @returns those that have arrived, with what they had */
async function moveBatch(
  nodes: Nodes,
  ends: Ends,
  slots: readonly number[],
  masters: readonly Party[],
): Promise<SlotSample[]> {
  if (slots.length === 0) return []
  const { from, to } = ends
  // Before it claims anything: a claim with an older epoch is corrected by the others.
  await takeLead(nodes, to, masters)
  const open = new Set<number>()
  try {
    await inGrowingFlights(slots, (slot) => {
      open.add(slot)
      return nodes.setSlot(to, slot, 'IMPORTING', from.id)
    })
    // As in `moveKeys`; before clients are sent there, too.
    await confirmAll(nodes, to, slots[0])
    await inGrowingFlights(slots, (slot) => nodes.setSlot(from, slot, 'MIGRATING', to.id))
    // What has come to be since it was looked at, too; from now on no more.
    const ready = (await samplesOf(nodes, from, slots)).filter(isSmall)
    const noted = ready.filter(({ names }) => names.length > 0).map(({ slot }) => slot)
    await noteMove(nodes, to, noted)
    for (const flight of flightsOf(ready)) {
      await migrate(nodes, ends, flight)
      await confirmAll(nodes, to, slots[0])
    }
    const left = await countsOn(nodes, from, slots)
    const emptied = ready.filter(({ slot }) => !left.has(slot))
    const kept = await claimAll(nodes, ends, emptied, masters)
    const arrived = emptied.filter(({ slot }) => !kept.includes(slot))
    for (const { slot } of arrived) open.delete(slot)
    return arrived
  } finally {
    // All at once: each may take as long as a node that is frozen is waited for.
    await Promise.allSettled([...open].map((slot) => takeBack(nodes, { slot, ...ends })))
  }
}

/** A server does all that one flight brings before it turns to others: no more than of one MIGRATE. */
function* flightsOf(slots: readonly SlotSample[]): Generator<SlotSample[]> {
  let flight: SlotSample[] = []
  let [count, bytes] = [0, 0]
  for (const each of slots) {
    if (flight.length > 0 && (count + each.names.length > BATCH_KEYS || bytes + each.bytes > BATCH_BYTES)) {
      yield flight
      flight = []
      ;[count, bytes] = [0, 0]
    }
    flight.push(each)
    count += each.names.length
    bytes += each.bytes
  }
  if (flight.length > 0) yield flight
}

/** @returns those of which the old owner has keys by now */
async function claimAll(
  nodes: Nodes,
  { from, to }: Ends,
  emptied: readonly SlotSample[],
  masters: readonly Party[],
): Promise<readonly number[]> {
  if (emptied.length === 0) return []
  const slots = emptied.map(({ slot }) => slot)
  const kept = await handOver(nodes, { slots, from, to }, masters, { isOpen: true })
  const arrived = slots.filter((slot) => !kept.includes(slot))
  await endMove(nodes, to, arrived)
  await expectNoneOpen(nodes, from, arrived)
  return kept
}
