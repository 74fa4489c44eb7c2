import { ShardqError } from '../../errors.js'
import { OperationLostError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { type Observation, observe } from '../observer.js'
import { isRefusal } from '../shutdown.js'
import { selfOf, type Witness, witnessesOf } from '../views.js'
import { type Due, dueOf, isNothing } from './due.js'
import { type Owed, OwedNotes } from './notes.js'
import { tellAgain } from './told.js'

/** Longest that an operation waits for a part of the cluster that may not be served, in ms. */
const PATIENCE_MS = 1_000
/** What is read of a node may be long. */
const ASK_MS = 5_000

export interface Settled {
  readonly owed: Owed
  /** `host:port` */
  readonly node: string
  readonly due: Due
}

/** What is still to be given back, of the nodes that answer. Changes nothing. None where the notes cannot be read. */
export async function owedIn(observation: Observation, access: LinkOptions): Promise<Settled[]> {
  const witnesses = witnessesOf(observation)
  const addresses = witnesses.map(({ address }) => address)
  const notes = new OwedNotes(addresses, access, PATIENCE_MS)
  try {
    const found: Settled[] = []
    for (const owed of await notes.read()) {
      const witness = witnesses.find((each) => selfOf(each)?.id === owed.id)
      const due = witness && (await dueAt(witness.address, owed, addresses, access))
      if (due && !isNothing(due)) found.push({ owed, node: witness.name, due })
    }
    return found
  } catch (error) {
    unlessNotServed(error)
    return []
  } finally {
    notes.close()
  }
}

/**
 * Gives back what operations owe that were cut off, by whoever has the lock. What a node refuses or does not answer stays written down, and so
 * does everything where the notes are not served: for the next operation.
 * @param which those that are ours to give back. Default: all
 * @returns what was given back
 */
export async function settleOwed(
  seeds: readonly Address[],
  access: LinkOptions,
  which: (owed: Owed) => boolean = () => true,
): Promise<Settled[]> {
  const notes = new OwedNotes(seeds, access, PATIENCE_MS)
  const settled: Settled[] = []
  try {
    const all = (await notes.read()).filter(which)
    if (all.length === 0) return []
    const observation = await observe(seeds, access)
    const witnesses = witnessesOf(observation)
    const addresses = witnesses.map(({ address }) => address)
    for (const owed of all) {
      const witness = witnesses.find((each) => selfOf(each)?.id === owed.id)
      if (!witness) {
        if (isGone(owed, observation, witnesses)) await notes.clear(owed)
        continue
      }
      const due = await giveBack(witness.address, owed, addresses, access)
      // `fix` is to say it.
      if (due.unknown.length === 0) await notes.clear(owed)
      if (!isNothing(due)) settled.push({ owed, node: witness.name, due })
    }
  } catch (error) {
    unlessNotServed(error)
  } finally {
    notes.close()
  }
  return settled
}

/** @throws what the node fails with, or does not let us do; the note is to stay then */
export async function giveBack(
  node: Address,
  owed: Owed,
  everywhere: readonly Address[],
  access: LinkOptions,
): Promise<Due> {
  const due = await dueAt(node, owed, everywhere, access)
  await withLink(node, { ...access, timeoutMs: ASK_MS }, (link) => tellAgain(link, due))
  return due
}

const dueAt = (node: Address, owed: Owed, everywhere: readonly Address[], access: LinkOptions) => {
  const others = everywhere.filter((each) => nameOf(each) !== nameOf(node))
  return withLink(node, { ...access, timeoutMs: ASK_MS }, (link) => dueOf(owed, link, others, access))
}

/** What a server answers, or that none does. What is in the way for good is told by the operation itself, which needs the same. */
function unlessNotServed(error: unknown): void {
  const isServed = error instanceof OperationLostError || !(error instanceof ShardqError || isRefusal(error))
  if (isServed) throw error
}

/** It has left the cluster: all answer that are known, and none knows it. */
const isGone = ({ id }: Owed, { nodes }: Observation, witnesses: readonly Witness[]) =>
  nodes.length === witnesses.length && !witnesses.some(({ view }) => view.some((node) => node.id === id))
