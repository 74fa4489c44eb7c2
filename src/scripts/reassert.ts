import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('reassert')

/**
 * Entries that are looked at, at each end of a ready list: what a partition hands out, or is given back, in the moments that a master
 * can forget. After a break, and only if something is missing: with 100 tasks in a call up to 15 ms of the master's time, if all of them
 * stand at the far end of what is looked at.
 */
const ENTRIES = 10_000

/**
 * `held`: the lease has it, again or still. `lost`: something has happened to it since. `absent`: there is no such task. `unclear`:
 * nothing has been counted since, but it was not found; somebody else may have it, or had it before and has not told the master yet.
 */
export type Reasserted = 'held' | 'lost' | 'absent' | 'unclear'

export interface ReassertedTask {
  readonly id: string
  readonly attemptsUsed: number
  readonly leaseId: string
  readonly leaseMs: number
  /** Leases that its holder had it under before, or may have it under when a call under way is carried out. */
  readonly others: readonly string[]
}

/** One for each task. */
export function reassertCall(
  keys: PartitionKeys,
  tasks: readonly ReassertedTask[],
): ScriptCall<Reasserted[]> {
  const leases = new Map<string, { place: number; ms: number }>()
  const placeOf = (id: string, ms: number) => {
    const known = leases.get(id)
    if (known) known.ms = Math.max(known.ms, ms)
    const lease = known ?? { place: leases.size + 1, ms }
    leases.set(id, lease)
    return lease.place
  }
  const named = tasks.flatMap(({ id, attemptsUsed, leaseId, leaseMs, others }) => {
    const place = placeOf(leaseId, leaseMs)
    return [id, attemptsUsed, place, others.map((other) => placeOf(other, 0)).join(',')]
  })
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.attempts,
      keys.leases,
      keys.scheduled,
      ...[...leases.keys()].map((id) => keys.lease(id)),
      keys.never,
    ],
    args: [ENTRIES, leases.size, ...[...leases].flatMap(([id, { ms }]) => [id, ms]), ...named],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== tasks.length) throw unexpectedReply(script.name, reply)
      return reply.map(reassertedFrom)
    },
  }
}

function reassertedFrom(code: unknown): Reasserted {
  switch (code) {
    case 1:
      return 'held'
    case 0:
      return 'lost'
    case 2:
      return 'absent'
    case 3:
      return 'unclear'
    default:
      throw unexpectedReply(script.name, code)
  }
}
