import { KeyTakenError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { type Observation, observe } from '../observer.js'
import { selfOf, type Witness, witnessesOf } from '../views.js'
import { type Due, type DueNow, dueOf, isNothing } from './due.js'
import { unlessNotServed } from './not-served.js'
import { type Owed, OwedNotes } from './notes.js'
import { tellAgain } from './tell.js'
import { noneReadable, type Unpaid, unpaid, unreadable } from './unpaid.js'

/** Longest that an operation waits for a part of the cluster that may not be served, in ms. */
export const PATIENCE_MS = 1_000
/** As long as a failover of the node that serves the notes may take, of an operation that has the lock. */
const SETTLE_MS = 5_000
/** What is read of a node may be long. */
const ASK_MS = 5_000

export interface Settled {
  readonly owed: Owed
  /** `host:port` */
  readonly node: string
  readonly due: Due
}

/** What is still to be given back. */
export interface Owing {
  readonly owed: readonly Settled[]
  readonly unpaid: readonly Unpaid[]
}

/** Of the nodes that answer. Changes nothing. None where the notes are not served. */
export async function owedIn(observation: Observation, access: LinkOptions): Promise<Owing> {
  const found: Settled[] = []
  const left: Unpaid[] = []
  const seeds = witnessesOf(observation).map(({ address }) => address)
  await throughNotes(seeds, access, {
    look: () => observation,
    onUnpaid: (each) => left.push(each),
    // Of a cluster that is to be mended, the slot of the notes may have no owner yet.
    onUnread: (error) => error instanceof KeyTakenError && left.push(noneReadable(error)),
    each: async (owed, { witness, everyone }) => {
      const due = witness && (await dueAt(witness.address, owed, everyone, access))
      if (due && !isNothing(due)) found.push({ owed, node: witness.name, due })
      if (due?.notSeen) throw due.notSeen
    },
  })
  return { owed: found, unpaid: left }
}

/**
 * Gives back what operations owe that were cut off, by whoever has the lock. What a node refuses or does not answer stays written down, and so
 * does everything where the notes are not served: for the next operation.
 * @param onUnpaid told of what could not be read, or not be given back
 * @returns what was given back
 */
export async function settleOwed(
  seeds: readonly Address[],
  access: LinkOptions,
  onUnpaid: (unpaid: Unpaid) => void = () => {},
): Promise<Settled[]> {
  const settled: Settled[] = []
  await throughNotes(seeds, access, {
    look: () => observe(seeds, access),
    onUnpaid,
    onUnread: (error) => onUnpaid(noneReadable(error)),
    patienceMs: SETTLE_MS,
    each: async (owed, { witness, everyone, isGone, notes }) => {
      const due = witness && (await giveBack(witness.address, owed, everyone, access))
      if (due && !isNothing(due)) settled.push({ owed, node: witness.name, due })
      // `fix` is to say what is not known.
      const isPaid = due ? due.unknown.length === 0 : isGone
      if (isPaid) await notes.clear(owed).catch(unlessNotServed)
    },
  })
  return settled
}

/** Removes notes of which nothing is due: of nodes that have left, or that have it back. By whoever has the lock. */
export async function clearSpent(seeds: readonly Address[], access: LinkOptions): Promise<void> {
  await throughNotes(seeds, access, {
    look: () => observe(seeds, access),
    // A look tells it.
    onUnpaid: () => {},
    onUnread: () => {},
    each: async (owed, { witness, everyone, isGone, notes }) => {
      const due = witness && (await dueAt(witness.address, owed, everyone, access))
      if (due ? isNothing(due) && !due.notSeen : isGone) await notes.clear(owed)
    },
  })
}

/** Where the node is that a note is of. */
interface Whereabouts {
  /** Undefined: it does not answer, or is not in the cluster. */
  readonly witness: Witness | undefined
  /** It has left the cluster: all answer that are known, and none knows it. */
  readonly isGone: boolean
  readonly everyone: readonly Address[]
  readonly notes: OwedNotes
}

interface Through {
  /** Done only where there are notes. */
  readonly look: () => Observation | Promise<Observation>
  readonly each: (owed: Owed, whereabouts: Whereabouts) => Promise<void>
  readonly onUnpaid: (unpaid: Unpaid) => void
  /** Told where none could be read. */
  readonly onUnread: (error: Error) => void
  /** Longest wait for the notes, in ms. Default 1,000. */
  readonly patienceMs?: number
}

/** Each by itself: one that cannot be read, or whose node fails, is told, and holds back no other. */
async function throughNotes(
  seeds: readonly Address[],
  access: LinkOptions,
  { look, each, onUnpaid, onUnread, patienceMs = PATIENCE_MS }: Through,
): Promise<void> {
  const notes = new OwedNotes(seeds, access, patienceMs)
  try {
    const all = await readAll(notes, seeds, onUnpaid, onUnread)
    if (all.length === 0) return
    const observation = await look()
    const witnesses = witnessesOf(observation)
    const everyone = everyoneIn(observation)
    for (const owed of all) {
      const witness = witnesses.find((one) => selfOf(one)?.id === owed.id)
      const isKnown = witnesses.some(({ view }) => view.some(({ id }) => id === owed.id))
      const isGone = observation.nodes.length === witnesses.length && !isKnown
      try {
        await each(owed, { witness, everyone, isGone, notes })
      } catch (error) {
        unlessNotServed(error)
        onUnpaid(unpaid(owed, witness?.name ?? owed.id, error as Error))
      }
    }
  } finally {
    notes.close()
  }
}

async function readAll(
  notes: OwedNotes,
  [seed]: readonly Address[],
  onUnpaid: (unpaid: Unpaid) => void,
  onUnread: (error: Error) => void,
): Promise<readonly Owed[]> {
  try {
    const { owed, unreadable: fields } = await notes.readAll()
    if (seed) for (const each of unreadable(fields, seed)) onUnpaid(each)
    return owed
  } catch (error) {
    unlessNotServed(error)
    onUnread(error as Error)
    return []
  }
}

/** All that are known, each once: also those that do not answer, since they may have what is not written down. */
export const everyoneIn = (observation: Observation): Address[] => [
  ...witnessesOf(observation).map(({ address }) => address),
  ...observation.nodes.filter(({ up }) => !up).map(({ address }) => address),
]

/**
 * Tells the node all that is sure.
 * @param everyone see `everyoneIn`
 * @throws what the node fails with, or does not let us do, or WitnessSilentError: the note is to stay then
 */
export async function giveBack(
  node: Address,
  owed: Owed,
  everyone: readonly Address[],
  access: LinkOptions,
): Promise<Due> {
  const due = await dueAt(node, owed, everyone, access)
  const told = await withLink(node, { ...access, timeoutMs: ASK_MS }, (link) => tellAgain(link, due))
  if (due.notSeen) throw due.notSeen
  return told
}

function dueAt(
  node: Address,
  owed: Owed,
  everyone: readonly Address[],
  access: LinkOptions,
): Promise<DueNow> {
  const others = everyone.filter((each) => nameOf(each) !== nameOf(node))
  return withLink(node, { ...access, timeoutMs: ASK_MS }, (link) => dueOf(owed, link, others, access))
}
