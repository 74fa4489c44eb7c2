import { setTimeout as sleep } from 'node:timers/promises'
import { withLent } from '../owed/lend.js'
import { parseFields } from '../replies.js'
import type { OpenSlot } from '../slots.js'
import { expectBelieved, expectUndisputed, tooSlow } from './belief.js'
import { announceClaim, endMove } from './copies.js'
import { takeLead } from './epoch.js'
import { expectAllCopied, expectClosed } from './expect.js'
import { handOver, tell } from './hand-over.js'
import { forgetKeys, forgetPartitions } from './leave.js'
import type { Nodes } from './nodes.js'
import { selfIn } from './opinions.js'
import { others, type Party, StepRefused } from './party.js'
import { type KeyToCopy, PIECE_BYTES } from './pieces.js'
import { copiesKey, partitionTag } from './queue-keys.js'

/** Longest wait until the old owner has heard of it. The nodes tell each other at once. */
const HEAR_MS = 10_000
const POLL_MS = 5
/** A server that drops the keys of a slot frees them at once or behind its clients' backs, as this setting says. */
const LAZILY = {
  operation: 'move of slots',
  setting: 'lazyfree-lazy-server-del',
  value: 'yes',
  // Without it, it works all the same, and stands still for as long as it takes to free the keys.
  optional: true,
} as const

interface Slot {
  readonly slot: number
  readonly from: Party
  readonly to: Party
}

/**
 * Gives a slot to the node that has copies of all keys of it. That node says so first, with the latest epoch, and from then on
 * it is the owner, whatever becomes of us: the others believe the later epoch. Until then the old owner was the owner with all of its
 * keys, and its clients were refused. If the new one dies before its replicas have heard of the claim, the slot is nobody's: whoever is
 * promoted in its place has all copies, and that a claim was announced; `fix` gives the slot to it, once the new one is given up.
 */
export async function claimCopies(
  nodes: Nodes,
  claimed: Slot,
  copies: readonly KeyToCopy[],
  masters: readonly Party[],
): Promise<void> {
  const give = () => giveSlot(nodes, claimed, copies, masters)
  if (!copies.some(({ bytes }) => bytes > PIECE_BYTES)) return give()
  await withLent(masters, { ...LAZILY, nodes: [claimed.from] }, nodes.access, give)
}

async function giveSlot(
  nodes: Nodes,
  claimed: Slot,
  copies: readonly KeyToCopy[],
  masters: readonly Party[],
): Promise<void> {
  const { slot, from, to } = claimed
  await takeLead(nodes, to, masters)
  await expectAllCopied(nodes, claimed, copies)
  const notes = [...new Set(copies.map(({ name }) => copiesKey(partitionTag(name) ?? '')))]
  await announceClaim(nodes, to, notes)
  await expectUnchanged(nodes, claimed)
  // Not as one who imports it, who would tell all nodes at once: the old owner is to hear it from us (leave.ts).
  // The copies are the keys from here on, and what says that they are copies goes in the same breath.
  await Promise.all([
    nodes.setSlot(to, slot, 'STABLE'),
    nodes.setSlot(to, slot, 'NODE', to.id),
    ...notes.map((note) => nodes.text(to, 'UNLINK', note)),
  ])
  // Before anything is removed. A replica of the old owner that has not heard of the claim would take the slot back, were it promoted; those
  // who know of the later epoch do not vote for it.
  await tellOthers(nodes, claimed, masters)
  await expectBelieved(nodes, { slots: [slot], from, to }, { everywhere: true })
  await forgetKeys(nodes, claimed, copies)
  await endAtOldOwner(nodes, claimed)
}

/** Gives a slot to the node to which all keys of it were moved. @throws StepRefused when the old owner has others by now */
export async function claim(nodes: Nodes, claimed: Slot, masters: readonly Party[]): Promise<void> {
  const { slot, from, to } = claimed
  const kept = await handOver(nodes, { ...claimed, slots: [slot] }, masters, { isOpen: true })
  if (kept.length > 0) throw new StepRefused(`keys of it have come to ${from.name} meanwhile`)
  await endMove(nodes, to, [slot])
  await expectClosed(nodes, from, slot)
}

/** The slot has its new owner, by its own word, and whoever moved it was cut off then: what was left to do is done. */
export async function settle(nodes: Nodes, claimed: Slot, masters: readonly Party[]): Promise<void> {
  await tellOthers(nodes, claimed, masters)
  await expectBelieved(nodes, { ...claimed, slots: [claimed.slot] }, { everywhere: true })
  await forgetPartitions(nodes, claimed)
  await endAtOldOwner(nodes, claimed)
}

async function endAtOldOwner(nodes: Nodes, { slot, from, to }: Slot): Promise<void> {
  await untilHeard(nodes, from, slot)
  await tell(nodes, from, slot, to)
  await expectBelieved(nodes, { slots: [slot], from, to }, { everywhere: false })
  await expectClosed(nodes, from, slot)
}

async function tellOthers(nodes: Nodes, { slot, from, to }: Slot, masters: readonly Party[]): Promise<void> {
  await Promise.all(others(masters, [to, from]).map((node) => tell(nodes, node, slot, to)))
}

/**
 * Nobody else is taken for the owner, and both ends are open as they should be. Else somebody was promoted in its place, or the slot was
 * closed by hand, and writes may have been taken that are in no copy.
 * @throws StepRefused
 */
async function expectUnchanged(nodes: Nodes, { slot, from, to }: Slot): Promise<void> {
  const isUndisputed = await expectUndisputed(nodes, { slots: [slot], from, to })
  const [leaving, coming, state] = await Promise.all([
    nodes.openSlot(from, slot),
    nodes.openSlot(to, slot),
    nodes.text(from, 'CLUSTER', 'INFO'),
  ])
  const open = isOpen(leaving, 'migrating', to) && isOpen(coming, 'importing', from)
  if (!open || parseFields(state).get('cluster_state') !== 'ok')
    throw new StepRefused(`${from.name} is not the undisputed owner of slot ${slot} any more`)
  if (!isUndisputed()) throw tooSlow(nodes)
}

const isOpen = (open: OpenSlot | undefined, direction: OpenSlot['direction'], peer: Party) =>
  open?.direction === direction && open.peer === peer.id

/** One without keys of it can be told, the others hear it. @throws StepRefused if it goes on believing that the slot is its own */
async function untilHeard(nodes: Nodes, from: Party, slot: number): Promise<void> {
  const deadline = performance.now() + HEAR_MS
  for (;;) {
    if ((await nodes.countKeys(from, slot)) === 0) return
    // It was its last slot: by now it has what its new master has.
    if (selfIn(await nodes.view(from))?.role !== 'master') return
    if (performance.now() > deadline)
      throw new StepRefused(
        `${from.name} has not heard within ${HEAR_MS / 1000} s that slot ${slot} is no longer its own`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
}
