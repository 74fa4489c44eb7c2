import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('survey')

/** Leases that are counted out: about a millisecond of the master's time. */
const MOST_LEASES = 1_000

export interface PartitionSurvey {
  /** Tasks by priority: high, medium, low. */
  readonly ready: readonly [number, number, number]
  readonly active: number
  readonly scheduled: number
  readonly dead: number
  /** Of the next task of each priority: ms since it was enqueued; undefined for none. */
  readonly agesMs: readonly (number | undefined)[]
  /** Ms since the first scheduled task was due; 0 if it is not, or there is none. */
  readonly overdueMs: number
  readonly paused: boolean
  /** Clients that are woken when a task becomes ready. */
  readonly consumers: number
  readonly counters: ReadonlyMap<string, number>
}

export function surveyCall(keys: PartitionKeys): ScriptCall<PartitionSurvey> {
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.scheduled,
      keys.leases,
      keys.dead,
      keys.bundled,
      keys.counters,
      keys.paused,
      keys.never,
    ],
    args: [keys.lease(''), MOST_LEASES, keys.wake],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== 9) throw unexpectedReply(script.name, reply)
      const [ready, active, scheduled, dead, ages, overdueMs, paused, consumers, counters] = reply as [
        [number, number, number],
        number,
        number,
        number,
        number[],
        number,
        number,
        number,
        string[],
      ]
      return {
        ready,
        active,
        scheduled,
        dead,
        agesMs: ages.map((age) => (age < 0 ? undefined : age)),
        overdueMs,
        paused: paused === 1,
        consumers,
        counters: pairsOf(counters),
      }
    },
  }
}

function pairsOf(flat: readonly string[]): ReadonlyMap<string, number> {
  const pairs = new Map<string, number>()
  for (let i = 0; i + 1 < flat.length; i += 2) pairs.set(flat[i] as string, Number(flat[i + 1]))
  return pairs
}
