import { setTimeout as sleep } from 'node:timers/promises'
import type { Address } from '../link.js'
import { type LinkOptions, type NodeLink, withLink } from '../link.js'
import { isCopiesKey } from '../move/queue-keys.js'
import { type Observation, Observer } from '../observer.js'
import { owedIn, type Settled } from '../owed/settle.js'
import type { Unpaid } from '../owed/unpaid.js'
import { keyCounts } from '../slot-keys.js'
import { ALL_SLOTS, parseOpenSlots, slotsIn } from '../slots.js'
import { campsOf, selfOf, type Witness, witnessesOf } from '../views.js'

/** All that a plan is made from. */
export interface Evidence {
  readonly observation: Observation
  /**
   * Keys by slot, of each master that answers, by its id: in slots that it does not own, that are open, or that another has keys of. None
   * are left out.
   */
  readonly keys: ReadonlyMap<string, ReadonlyMap<number, number>>
  /**
   * Of slots that a master imports, or sends to a node that does not answer: the masters, by id, that have keys with a note, as the move that
   * brought them left them. Whoever was promoted in place of that node is one of them.
   */
  readonly noted: ReadonlyMap<number, readonly string[]>
  /** What nodes are still to get back, where that was looked for. */
  readonly owed?: readonly Settled[]
  /** What of that could not be looked at. */
  readonly unpaid?: readonly Unpaid[]
}

export interface LookOptions extends LinkOptions {
  /** Longest wait for views that differ to become one, in ms. Default 10,000. */
  readonly agreeMs?: number
  readonly signal?: AbortSignal | undefined
}

const POLL_MS = 100

/** Looks, and where views differ looks again until they are one, or the time is over. Changes nothing. */
export async function look(seeds: readonly Address[], options: LookOptions): Promise<Evidence> {
  const observer = new Observer(seeds, options)
  const deadline = performance.now() + (options.agreeMs ?? 10_000)
  try {
    for (;;) {
      const observation = await observer.observe()
      if (campsOf(observation).length <= 1 || performance.now() > deadline || options.signal?.aborted)
        return await lookInto(observation, options)
      await sleep(POLL_MS)
    }
  } finally {
    observer.close()
  }
}

async function lookInto(observation: Observation, options: LinkOptions): Promise<Evidence> {
  const keys = await countKeys(observation, options)
  return { observation, keys, noted: await findNotes(observation, keys, options) }
}

/** As `look`, and at what operations that were cut off owe to nodes. */
export async function lookAtAll(seeds: readonly Address[], options: LookOptions): Promise<Evidence> {
  const evidence = await look(seeds, options)
  return { ...evidence, ...(await owedIn(evidence.observation, options)) }
}

/** Replicas have what their masters have; and what lies on one that is cut off is its master's to give out. */
export function mastersOf(observation: Observation): Witness[] {
  return witnessesOf(observation).filter((each) => selfOf(each)?.role === 'master')
}

async function countKeys(
  observation: Observation,
  options: LinkOptions,
): Promise<ReadonlyMap<string, ReadonlyMap<number, number>>> {
  const masters = mastersOf(observation)
  const open = new Set(
    masters.flatMap((each) => parseOpenSlots(selfOf(each)?.openSlots ?? []).map(({ slot }) => slot)),
  )
  const count = (master: Witness, asked: readonly number[]) =>
    asked.length === 0
      ? new Map<number, number>()
      : withLink(master.address, options, (link) => keyCounts(link, asked))
  const counted = await Promise.all(
    masters.map(async (master) => {
      const self = selfOf(master)
      const own = new Set(slotsIn(self?.slots ?? []))
      const asked = Array.from({ length: ALL_SLOTS }, (_, slot) => slot).filter(
        (slot) => open.has(slot) || !own.has(slot),
      )
      return { master, id: self?.id ?? '', own, counts: await count(master, asked) }
    }),
  )
  // Of these it counts, too, whether their owner has any.
  const strays = new Set(counted.flatMap(({ counts }) => [...counts.keys()]))
  return new Map(
    await Promise.all(
      counted.map(async ({ master, id, own, counts }) => {
        const asked = [...strays].filter((slot) => own.has(slot) && !open.has(slot))
        return [id, new Map([...counts, ...(await count(master, asked))])] as const
      }),
    ),
  )
}

/** Few slots: those that a move has open, or that a node imports since it was restarted. */
async function findNotes(
  observation: Observation,
  keys: Evidence['keys'],
  options: LinkOptions,
): Promise<Evidence['noted']> {
  const masters = mastersOf(observation).flatMap((each) => {
    const self = selfOf(each)
    return self ? [{ ...self, address: each.address }] : []
  })
  const stuck = masters
    .flatMap(({ openSlots }) => parseOpenSlots(openSlots))
    .filter(({ direction, peer }) => direction === 'importing' || !masters.some(({ id }) => id === peer))
    .map(({ slot }) => slot)
  const noted = new Map<number, string[]>()
  for (const { id, address } of masters) {
    const counts = [...(keys.get(id) ?? [])].filter(([slot]) => stuck.includes(slot))
    if (counts.length === 0) continue
    for (const slot of await withLink(address, options, (link) => notedIn(link, counts)))
      noted.set(slot, [...(noted.get(slot) ?? []), id])
  }
  return noted
}

async function notedIn(link: NodeLink, counts: readonly (readonly [number, number])[]): Promise<number[]> {
  const noted: number[] = []
  for (const [slot, count] of counts) {
    const names = (await link.bytes('CLUSTER', 'GETKEYSINSLOT', slot, count)) as Buffer[]
    if (names.some(isCopiesKey)) noted.push(slot)
  }
  return noted
}
