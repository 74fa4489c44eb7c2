import type { PartitionKeys } from '../keys/keys.js'
import { type Outlook, parseOutlook } from './outlook.js'
import { type Argument, loadScript, type ScriptCall } from './script.js'
import { type Settled, settledFromNumber } from './settled.js'

const script = loadScript('exchange')

export interface AcknowledgedLease {
  readonly leaseId: string
  readonly ids: readonly string[]
  /** Results as JSON, one per id; read only where results are kept. */
  readonly results: readonly string[]
}

export interface FetchedTask {
  readonly id: string
  readonly record: string
  readonly attemptsUsed: number
}

export interface ExchangeInput {
  readonly acknowledge: readonly AcknowledgedLease[]
  /** Ms to keep results of completed tasks; 0 for not at all. */
  readonly keepResultsMs: number
  readonly fetch: {
    readonly leaseId: string
    readonly leaseMs: number
    readonly count: number
    /** Lists to take from, best first: 0 high, 1 medium, 2 low. */
    readonly levels: readonly number[]
  }
}

export interface ExchangeResult {
  /** In the order of `acknowledge` and its ids. */
  readonly acknowledged: readonly Settled[]
  readonly fetched: readonly FetchedTask[]
  readonly outlook: Outlook
}

export function exchangeCall(keys: PartitionKeys, input: ExchangeInput): ScriptCall<ExchangeResult> {
  const { fetch, acknowledge, keepResultsMs } = input
  const args: Argument[] = [
    fetch.leaseId,
    fetch.leaseMs,
    fetch.count,
    fetch.levels.join(''),
    keepResultsMs,
    acknowledge.length,
  ]
  for (const lease of acknowledge) {
    args.push(lease.leaseId, lease.ids.length, ...lease.ids)
    if (keepResultsMs > 0) args.push(...lease.results)
  }
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.attempts,
      keys.scheduled,
      keys.leases,
      keys.paused,
      keys.counters,
      keys.checkpoints,
      keys.results,
      keys.resultExpiry,
      keys.lease(fetch.leaseId),
      ...acknowledge.map((lease) => keys.lease(lease.leaseId)),
    ],
    args,
    parse(reply) {
      const [acknowledged, flat, outlook] = reply as [unknown[], string[], unknown]
      const fetched: FetchedTask[] = []
      for (let i = 0; i + 2 < flat.length; i += 3) {
        fetched.push({
          id: flat[i] as string,
          record: flat[i + 1] as string,
          attemptsUsed: Number(flat[i + 2]),
        })
      }
      return {
        acknowledged: acknowledged.map((code) => settledFromNumber(script.name, code)),
        fetched,
        outlook: parseOutlook(outlook),
      }
    },
  }
}
