import { Random } from '../../chaos/storm/random.js'
import type { OperationName } from '../common/work.js'

export const OPERATIONS = [
  ...(['rebalance', 'fix', 'add-node', 'remove-node', 'rolling-restart'] as const),
  ...(['backup', 'users apply', 'create', 'restore'] as const),
] satisfies OperationName[]

/** What one of the two does, and how their process is held up. */
export interface Choice {
  readonly operation: (typeof OPERATIONS)[number]
  /** Decides what is left to decide once it is known how the cluster is. */
  readonly seed: number
  /** Ms from the beginning of the pair. */
  readonly beginsMs: number
  /** Ms between the plan and a yes to it, as at a prompt, which is a yes to that plan alone. Null: `--yes`. */
  readonly thinksMs: number | null
  /** Whether they try again while they are told that another operation is running. */
  readonly insists: boolean
  /** When the process is stopped from running, in ms from its first word, and for how long. */
  readonly pauses: readonly { readonly atMs: number; readonly forMs: number }[]
}

export interface Pair {
  readonly number: number
  readonly choices: readonly [Choice, Choice]
}

const BEGIN_MS = 3_000
const THINK_MS = 12_000
const PAUSE_AT_MS = 6_000
/** Most are short, and the rest longer than the 20 s that a lock holds. */
const SHORT_PAUSE_MS = 6_000
const LONG_PAUSE_MS = [20_500, 25_000] as const
const STEP = 7_919

/** The same for the same seed, whatever came before. */
export function choosePair(seed: number, number: number): Pair {
  const random = new Random(seed * STEP + number)
  return { number, choices: [chooseOne(random), chooseOne(random)] }
}

function chooseOne(random: Random): Choice {
  const pauses = [random.next() < 0.6, random.next() < 0.2]
    .filter((isPaused) => isPaused)
    .map(() => ({
      atMs: random.between(0, PAUSE_AT_MS),
      forMs: random.next() < 0.35 ? random.between(...LONG_PAUSE_MS) : random.between(0, SHORT_PAUSE_MS),
    }))
  return {
    operation: random.pick(OPERATIONS),
    seed: random.between(1, 2 ** 31),
    beginsMs: random.between(0, BEGIN_MS),
    thinksMs: random.next() < 1 / 3 ? random.between(0, THINK_MS) : null,
    insists: random.next() < 1 / 2,
    pauses,
  }
}
