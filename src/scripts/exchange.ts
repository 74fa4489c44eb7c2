import type { PartitionKeys } from '../keys/keys.js'
import { fold, membersOf, type Named, sizeOf } from './bundles.js'
import { type Outlook, parseOutlook } from './outlook.js'
import { type Argument, loadScript, type ScriptCall, unexpectedReply } from './script.js'
import type { Settled } from './settled.js'
import { pack } from './strings.js'

const script = loadScript('exchange')

/**
 * Most bytes of records in one reply: a millisecond or two of the master's time, and of a slow link's not much more than its
 * share of a time-out. A task that is larger goes alone.
 */
const FETCH_BYTES = 512 * 1024

export interface AcknowledgedLease {
  readonly leaseId: string
  readonly tasks: readonly Named[]
  /** Results as JSON, one per task; read only where results are kept. */
  readonly results: readonly string[]
  /** Each by its own id, also where bundles are there as a whole. */
  readonly oneByOne: boolean
}

export interface FetchedTask extends Named {
  readonly record: string
  readonly attemptsUsed: number
}

export interface ExchangeInput {
  readonly acknowledge: readonly AcknowledgedLease[]
  /** Ms to keep results of completed tasks; 0 for not at all. */
  readonly keepResultsMs: number
  /** Counters that grow, and by how much (queue/timings.ts); mostly ''. */
  readonly carried?: string
  readonly fetch: {
    readonly leaseId: string
    readonly leaseMs: number
    readonly count: number
    /** Bundles are taken apart to hand out so many; beyond it, only those that fit as a whole are handed out. */
    readonly least: number
    /** Lists to take from, best first: 0 high, 1 medium, 2 low. */
    readonly levels: readonly number[]
  }
}

/** `apart`: of a bundle that is not held as a whole; nothing was done, and it has to be acknowledged by its own id. */
export type Acknowledged = Settled | 'apart'

export interface ExchangeResult {
  /** One for each task, in the order of `acknowledge` and its tasks. */
  readonly acknowledged: readonly Acknowledged[]
  readonly fetched: readonly FetchedTask[]
  readonly outlook: Outlook
}

export function exchangeCall(keys: PartitionKeys, input: ExchangeInput): ScriptCall<ExchangeResult> {
  const { fetch, acknowledge, keepResultsMs, carried = '' } = input
  const names: string[] = []
  const args: Argument[] = [
    fetch.leaseId,
    fetch.leaseMs,
    fetch.count,
    fetch.levels.join(''),
    fetch.least,
    keepResultsMs,
    FETCH_BYTES,
    carried,
  ]
  for (const lease of acknowledge) {
    // Every result has an id of its own, which a bundle has not.
    const folded = keepResultsMs > 0 || lease.oneByOne ? lease.tasks.map(({ id }) => id) : fold(lease.tasks)
    const results = keepResultsMs > 0 ? pack(lease.results).text : ''
    args.push(lease.leaseId, folded.length, pack(folded).text, results)
    names.push(...folded)
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
      keys.bundled,
      keys.lease(fetch.leaseId),
      ...acknowledge.map((lease) => keys.lease(lease.leaseId)),
      keys.never,
    ],
    args,
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== 5) throw unexpectedReply(script.name, reply)
      const [digits, taken, records, attempts, outlook] = reply as [
        string,
        string[],
        string[],
        (string | null)[],
        unknown,
      ]
      if (digits.length !== names.length) throw unexpectedReply(script.name, reply)
      const acknowledged: Acknowledged[] = []
      names.forEach((name, i) => {
        const one = acknowledgedFrom(digits.charAt(i))
        for (let left = sizeOf(name); left > 0; left--) acknowledged.push(one)
      })
      return {
        acknowledged,
        fetched: parseTasks(taken, records, attempts),
        outlook: parseOutlook(outlook),
      }
    },
  }
}

function acknowledgedFrom(digit: string): Acknowledged {
  switch (digit) {
    case '0':
      return 'lost'
    case '1':
      return 'done'
    case '2':
      return 'gone'
    case '3':
      return 'apart'
    default:
      throw unexpectedReply(script.name, digit)
  }
}

function parseTasks(
  names: readonly string[],
  records: readonly string[],
  attempts: readonly (string | null)[],
): FetchedTask[] {
  const tasks: FetchedTask[] = []
  names.forEach((name, i) => {
    const record = records[i] ?? ''
    if (sizeOf(name) === 1) {
      const attemptsUsed = Number(attempts[i] ?? 0)
      tasks.push({ id: name, bundle: undefined, place: 0, record, attemptsUsed })
      return
    }
    const lines = record.split('\n')
    for (const { id, bundle, place } of membersOf(name))
      tasks.push({ id, bundle, place, record: lines[place] ?? '', attemptsUsed: 0 })
  })
  return tasks
}
