import type { PartitionKeys } from '../keys/keys.js'
import { type Outlook, parseOutlook } from './outlook.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const tendScript = loadScript('tend')
const recoverScript = loadScript('recover')

/** Most tasks that one call moves, so that it never holds a master for long. */
const MOST_PER_CALL = 500

export interface TendResult {
  readonly outlook: Outlook
  /** Leases that have run out and wait for `recoverCall`. */
  readonly expiredLeases: readonly string[]
  /** More was due than one call moves. */
  readonly more: boolean
  /** The server's time, by which they have. */
  readonly serverMs: number
}

export function tendCall(keys: PartitionKeys): ScriptCall<TendResult> {
  return {
    script: tendScript,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.scheduled,
      keys.leases,
      keys.paused,
      keys.results,
      keys.resultExpiry,
      keys.never,
    ],
    args: [keys.wake, MOST_PER_CALL],
    parse(reply) {
      const [outlook, expiredLeases, more, serverMs] = reply as [unknown, string[], number, number]
      return { outlook: parseOutlook(outlook), expiredLeases, more: more === 1, serverMs }
    },
  }
}

export type RecoverResult =
  | { readonly kind: 'alive' }
  | { readonly kind: 'recovered'; readonly back: number; readonly died: number; readonly left: number }

const LEASE_EXPIRED = JSON.stringify({
  name: 'LeaseExpiredError',
  message: 'the lease ran out without an answer from the worker, and no attempt was left',
})

export function recoverCall(keys: PartitionKeys, leaseId: string): ScriptCall<RecoverResult> {
  return {
    script: recoverScript,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.attempts,
      keys.leases,
      keys.counters,
      keys.dead,
      keys.errors,
      keys.lease(leaseId),
      keys.bundled,
      keys.never,
    ],
    args: [keys.wake, leaseId, MOST_PER_CALL, LEASE_EXPIRED],
    parse(reply) {
      const [kind, back, died, left] = reply as [string, number, number, number]
      if (kind === 'alive') return { kind }
      if (kind === 'recovered') return { kind, back, died, left }
      throw unexpectedReply(recoverScript.name, reply)
    },
  }
}
