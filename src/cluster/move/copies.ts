import { tagForSlot } from '../../keys/slots.js'
import { type NodeLink, nameOf } from '../link.js'
import { type Reader, read } from '../read.js'
import { redisCli, typedKey } from '../redis-cli.js'
import { isRefusal } from '../shutdown.js'
import { confirmAll, leastOf } from './confirm.js'
import { isSame } from './content.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'
import { copiesKey, isCopiesKey, partitionTag } from './queue-keys.js'
import { refusalOf } from './room.js'
import { Importer } from './write.js'

const SCAN_COUNT = 1_000
/** A member of a note that is no key: the new owner is about to claim the slot, or has. */
const CLAIM = 'claim'
/** Nor is this: other keys are on their way here by MIGRATE, and those that have come may be the only ones. */
const MOVE = 'move'

/**
 * Before keys that are no queue's are moved: whoever finds some of them here has to know that they came by a move, and not from long ago. A replica
 * that is promoted in the old owner's place does not send clients after them, and a node that has old keys of a slot imports it after a restart.
 */
export async function noteMove(nodes: Nodes, party: Party, slots: readonly number[]): Promise<void> {
  const importer = await Importer.on(await nodes.link(party), party.name)
  await importer.write(slots.map((slot) => ['SADD', moveNote(slot), MOVE]))
}

/** Its owner by now. */
export async function endMove(nodes: Nodes, owner: Party, slots: readonly number[]): Promise<void> {
  await inFlights(slots, (slot) => nodes.text(owner, 'UNLINK', moveNote(slot)))
}

const moveNote = (slot: number) => copiesKey(tagForSlot(slot))

/**
 * Says beside the copies that they are about to become the keys, and waits until the replicas of their node have that, with all copies. One
 * that is promoted later may have heard of neither the claim nor what came after: then it is not to be taken for one that has mere copies.
 * @throws StepRefused when none follows, though there are some, or one does not confirm it
 */
export async function announceClaim(nodes: Nodes, party: Party, notes: readonly string[]): Promise<void> {
  const importer = await Importer.on(await nodes.link(party), party.name)
  const least = leastOf(await nodes.view(party), party)
  await importer.write(notes.map((note) => ['SADD', note, CLAIM]))
  await importer.confirmByAll(least)
}

/**
 * Removes what a copy that was broken off has left: exactly those keys that it had noted before it made them. Of an owner, only
 * the notes go: there the copies have become the keys. The note of a move stays as long as keys are beside it.
 *
 * Nothing is removed that may be the only one there is. Where no claim was announced, `keeper` has been the owner all the while. Where one was,
 * the copies may have become the keys, on a node that is no more: then each is removed only if `keeper` has the same. And where that has
 * nothing of the slot, the copies are the keys, and stay.
 * @param names all that the node has of the slot
 * @param keeper who has the slot, or had it before the copies were made
 * @returns how many keys were removed
 * @throws StepRefused when a copy may be more than that, and `keeper` has something else
 */
export async function dropCopies(
  nodes: Nodes,
  party: Party,
  slot: number,
  names: readonly Buffer[],
  keeper: Party,
): Promise<number> {
  const notes = names.filter(isCopiesKey)
  if (notes.length === 0) return 0
  const link = await nodes.link(party)
  for (const note of notes) await expectNote({ link, asking: true }, note, party)
  let removed = 0
  const isOwner = await nodes.owns(party, slot)
  const areKeys = isOwner || (await nodes.countKeys(keeper, slot)) === 0
  for (const note of notes) {
    if (!areKeys) removed += await dropNoted(link, note, { nodes, party, keeper, slot })
    const isAlone = isOwner || notes.length === names.length
    if (isAlone || !(await has({ link, asking: true }, note, MOVE))) await unlink(link, [note])
  }
  return removed
}

/**
 * Removes keys of a slot from a node that does not own it, each only if its owner has the same. A note that is left alone goes too: what it
 * named is gone.
 */
export async function dropDoubles(
  nodes: Nodes,
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  signal: AbortSignal | undefined,
): Promise<'done' | 'interrupted'> {
  const here: Reader = { link: await nodes.link(from), asking: true }
  const there: Reader = { link: await nodes.link(to), asking: false }
  const names = await nodes.keyNames(from, slot)
  // What its owner has may have come a moment ago, and be on that one alone.
  await confirmAll(nodes, to, slot)
  for (const name of names) {
    if (signal?.aborted) return 'interrupted'
    if (!isCopiesKey(name) && (await isSame(here, there, name, 'whether'))) await unlink(here.link, [name])
  }
  const left = await nodes.keyNames(from, slot)
  if (!left.every(isCopiesKey)) return 'done'
  for (const note of left) await expectNote(here, note, from)
  await unlink(here.link, left)
  return 'done'
}

/**
 * Whether all that a node has of a slot are copies by a note there, of which no claim was announced: then their owner has every key. So it is,
 * too, where the note of a move came and no key after it.
 * @param names all that the node, which imports the slot, has of it
 */
export async function isOnlyCopies(nodes: Nodes, party: Party, names: readonly Buffer[]): Promise<boolean> {
  const here: Reader = { link: await nodes.link(party), asking: true }
  const notes = names.filter(isCopiesKey)
  const copies = names.filter((name) => !isCopiesKey(name))
  const isIn = async (name: Buffer | string) => {
    for (const note of notes) if (await has(here, note, name)) return true
    return false
  }
  if ((await isIn(CLAIM)) || (copies.length > 0 && (await isIn(MOVE)))) return false
  return (await inFlights(copies, isIn)).every(Boolean)
}

/** Members of a note that are looked at. */
const SAMPLE = 20

/**
 * By its name it is a note, and notes are removed. One that is no set, or has members which no note has, is somebody's.
 * @throws StepRefused naming it
 */
async function expectNote(reader: Reader, note: Buffer, { name, ...party }: Party): Promise<void> {
  const type = String((await read(reader, 'TYPE', note)) ?? 'none')
  if (type === 'none') return
  const scanned = type === 'set' ? await read(reader, 'SSCAN', note, 0, 'COUNT', SAMPLE) : null
  const [, members] = (scanned ?? ['', []]) as [unknown, Buffer[]]
  const isOurs = (member: Buffer) =>
    [CLAIM, MOVE].includes(String(member)) || partitionTag(member) !== undefined
  if (type === 'set' && members.every(isOurs)) return
  throw new StepRefused(
    `${note} on ${name} has a name that shardq gives to notes about a move, which it removes, and is none`,
    `give it another name: ${redisCli(party, {}, `RENAME ${typedKey(note)} ${typedKey(Buffer.concat([note, Buffer.from(':')]))}`)} ; then again`,
  )
}

interface Doubt {
  readonly nodes: Nodes
  readonly party: Party
  readonly keeper: Party
  readonly slot: number
}

async function dropNoted(link: NodeLink, note: Buffer, doubt: Doubt): Promise<number> {
  const here: Reader = { link, asking: true }
  const wasAnnounced = await has(here, note, CLAIM)
  let removed = 0
  for await (const copies of copiesIn(here, note)) {
    if (wasAnnounced) await expectKept(copies, doubt)
    removed += await unlink(link, copies)
  }
  return removed
}

const has = async (here: Reader, note: Buffer, member: Buffer | string) =>
  Number(await read(here, 'SISMEMBER', note, member)) === 1

async function* copiesIn(here: Reader, note: Buffer): AsyncGenerator<readonly Buffer[]> {
  let cursor: Buffer | string = '0'
  do {
    const reply = await read(here, 'SSCAN', note, cursor, 'COUNT', SCAN_COUNT)
    const [next, members] = reply as [Buffer, Buffer[]]
    yield members.filter((member) => ![CLAIM, MOVE].includes(String(member)))
    cursor = next
  } while (String(cursor) !== '0')
}

/** @throws StepRefused naming the keys of which the keeper has not the same */
async function expectKept(copies: readonly Buffer[], { nodes, party, keeper, slot }: Doubt): Promise<void> {
  const here: Reader = { link: await nodes.link(party), asking: true }
  const there: Reader = { link: await nodes.link(keeper), asking: false }
  await confirmAll(nodes, keeper, slot)
  for (const copy of copies) {
    if (await isGone(here, there, copy)) continue
    // It may have been the key, and its time to live what a client has set.
    if (await isSame(here, there, copy, 'exact')) continue
    throw new StepRefused(
      `${copy} on ${party.name} may be the only one there is: ${party.name} was about to get slot ${slot}, or its master had it; ` +
        `${keeper.name} has something else there`,
      `look at both; if that on ${keeper.name} is right: ${redisCli(party, {})} after ` +
        `CLUSTER SETSLOT ${slot} IMPORTING ${keeper.id} and ASKING: UNLINK ${typedKey(copy)}`,
    )
  }
}

/** By how much the clocks of two servers, and two looks, may differ. */
const CLOCK_MS = 5_000

/** Its time has run out, here or, a moment before, there. One that has time left and is not there was deleted, or never came. */
async function isGone(here: Reader, there: Reader, name: Buffer): Promise<boolean> {
  const [left, kept] = await Promise.all([read(here, 'PTTL', name), read(there, 'EXISTS', name)])
  const ms = Number(left)
  return ms === -2 || (Number(kept) === 0 && ms >= 0 && ms < CLOCK_MS)
}

/** @throws NodeRefuses where it takes no writes */
async function unlink(link: NodeLink, names: readonly Buffer[]): Promise<number> {
  const remove = (name: Buffer) =>
    read({ link, asking: true }, 'UNLINK', name).catch((error: Error) => {
      if (!isRefusal(error)) throw error
      const name = nameOf(link.address)
      throw refusalOf({ name }, `${name} does not remove copies of a move that was broken off`, error.message)
    })
  const gone = await inFlights(names, remove)
  return gone.reduce<number>((sum, count) => sum + Number(count), 0)
}
