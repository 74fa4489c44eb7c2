import type { PartitionKeys } from '../keys/keys.js'
import { type Outlook, parseOutlook } from './outlook.js'
import { type Argument, loadScript, type ScriptCall, unexpectedReply } from './script.js'
import { pack } from './strings.js'

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
  /** A digit for each id, in the order of `acknowledge` and its ids: see `settledFromDigit`. */
  readonly acknowledged: string
  readonly fetched: readonly FetchedTask[]
  readonly outlook: Outlook
}

export function exchangeCall(keys: PartitionKeys, input: ExchangeInput): ScriptCall<ExchangeResult> {
  const { fetch, acknowledge, keepResultsMs } = input
  const args: Argument[] = [fetch.leaseId, fetch.leaseMs, fetch.count, fetch.levels.join(''), keepResultsMs]
  for (const lease of acknowledge) {
    const results = keepResultsMs > 0 ? pack(lease.results).text : ''
    args.push(lease.leaseId, lease.ids.length, pack(lease.ids).text, results)
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
      if (!Array.isArray(reply) || reply.length !== 5) throw unexpectedReply(script.name, reply)
      const [acknowledged, ids, records, attempts, outlook] = reply as [
        string,
        string,
        string,
        string,
        unknown,
      ]
      return { acknowledged, fetched: parseTasks(ids, records, attempts), outlook: parseOutlook(outlook) }
    },
  }
}

function parseTasks(ids: string, records: string, attempts: string): FetchedTask[] {
  if (ids === '') return []
  const recordOf = records.split('\n')
  const attemptsOf = attempts === '' ? undefined : attempts.split('\n')
  return ids
    .split('\n')
    .map((id, i) => ({ id, record: recordOf[i] ?? '', attemptsUsed: Number(attemptsOf?.[i] ?? 0) }))
}
