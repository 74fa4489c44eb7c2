import { setTimeout as sleep } from 'node:timers/promises'
import type { Address } from '../link.js'
import { type LinkOptions, withLink } from '../link.js'
import { type Observation, Observer } from '../observer.js'
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
        return { observation, keys: await countKeys(observation, options) }
      await sleep(POLL_MS)
    }
  } finally {
    observer.close()
  }
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
