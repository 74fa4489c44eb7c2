import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('reassert')

/**
 * Entries that are looked at, at each end of a ready list: what a partition hands out, or is given back, in the moments that a master
 * can forget. A few ms of the master's time, after a break, and only if something is missing.
 */
const ENTRIES = 10_000

/** `held`: the lease has it, again or still. `lost`: somebody else has it, or had. `absent`: there is no such task. */
export type Reasserted = 'held' | 'lost' | 'absent'

export interface ReassertInput {
  readonly leaseId: string
  readonly leaseMs: number
  readonly tasks: readonly { readonly id: string; readonly attemptsUsed: number }[]
}

/** One for each task. */
export function reassertCall(keys: PartitionKeys, input: ReassertInput): ScriptCall<Reasserted[]> {
  return {
    script,
    keys: [...keys.ready, keys.tasks, keys.attempts, keys.leases, keys.lease(input.leaseId), keys.never],
    args: [
      input.leaseId,
      input.leaseMs,
      ENTRIES,
      ...input.tasks.flatMap(({ id, attemptsUsed }) => [id, attemptsUsed]),
    ],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== input.tasks.length)
        throw unexpectedReply(script.name, reply)
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
    default:
      throw unexpectedReply(script.name, code)
  }
}
