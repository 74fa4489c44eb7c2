import { tell } from './claim.js'
import { takeLead } from './epoch.js'
import { expectNoneOpen, expectOwner } from './expect.js'
import { inFlights } from './flights.js'
import { migrate } from './migrate.js'
import { BATCH_BYTES, BATCH_KEYS, sizesOf } from './move-keys.js'
import type { Nodes } from './nodes.js'
import { others, type Party } from './party.js'
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

/** What a slot has, as a small one. */
interface Small {
  readonly slot: number
  readonly names: readonly Buffer[]
  readonly bytes: number
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

/** Looks, and changes nothing. */
async function smallOf(nodes: Nodes, { from, to }: Ends, slots: readonly number[]): Promise<Small[]> {
  const [found, there] = await Promise.all([
    namesIn(nodes, from, slots),
    inFlights(slots, (slot) => nodes.countKeys(to, slot)),
  ])
  const few = found.filter(({ names }, i) => there[i] === 0 && areFew(names))
  const source = { link: await nodes.link(from), asking: false }
  const sizes = await Promise.all(few.map(({ names }) => sizesOf(source, names)))
  return few
    .map((each, i) => ({ ...each, bytes: (sizes[i] ?? []).reduce((sum, size) => sum + size, 0) }))
    .filter(({ bytes }) => bytes <= SLOT_BYTES)
}

const namesIn = (nodes: Nodes, party: Party, slots: readonly number[]) =>
  inFlights(slots, async (slot) => ({ slot, names: await nodes.keyNames(party, slot, BATCH_KEYS + 1) }))

const areFew = (names: readonly Buffer[]) =>
  names.length <= BATCH_KEYS && !names.some((name) => partitionTag(name) !== undefined || isCopiesKey(name))

/** @returns those that have arrived */
async function moveBatch(
  nodes: Nodes,
  ends: Ends,
  batch: readonly Small[],
  masters: readonly Party[],
): Promise<Small[]> {
  if (batch.length === 0) return []
  const { from, to } = ends
  const slots = batch.map(({ slot }) => slot)
  // Before it claims anything: a claim with an older epoch is corrected by the others.
  await takeLead(nodes, to, masters)
  let claimed: readonly Small[] = []
  try {
    await inFlights(slots, (slot) => nodes.setSlot(to, slot, 'IMPORTING', from.id))
    await inFlights(slots, (slot) => nodes.setSlot(from, slot, 'MIGRATING', to.id))
    // What has come to be since it was looked at, too; from now on no more.
    const found = await namesIn(nodes, from, slots)
    const ready = batch.flatMap((each, i) => {
      const names = found[i]?.names ?? []
      return areFew(names) ? [{ ...each, names }] : []
    })
    for (const flight of flightsOf(ready)) await migrate(nodes, ends, flight)
    const left = await inFlights(ready, ({ slot }) => nodes.countKeys(from, slot))
    const emptied = ready.filter((_, i) => left[i] === 0)
    await claimAll(
      nodes,
      ends,
      emptied.map(({ slot }) => slot),
      masters,
    )
    claimed = emptied
    return emptied
  } finally {
    const open = batch.filter(({ slot }) => !claimed.some((each) => each.slot === slot))
    for (const { slot } of open) await takeBack(nodes, { slot, ...ends }).catch(() => {})
  }
}

/** A server does all that one flight brings before it turns to others: no more than of one MIGRATE. */
function* flightsOf(slots: readonly Small[]): Generator<Small[]> {
  let flight: Small[] = []
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

/** The new owner first: if only it was told, the others believe it, since its epoch is the latest. */
async function claimAll(
  nodes: Nodes,
  { from, to }: Ends,
  slots: readonly number[],
  masters: readonly Party[],
): Promise<void> {
  await inFlights(slots, (slot) => nodes.setSlot(to, slot, 'NODE', to.id))
  await Promise.all(
    [from, ...others(masters, [from, to])].map((node) =>
      inFlights(slots, (slot) => tell(nodes, node, slot, to)),
    ),
  )
  await Promise.all([expectOwner(nodes, to, slots), expectNoneOpen(nodes, from, slots)])
}
