import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

/** What the structural checker (queue/verify.ts) reads of a partition. */

const snapshot = loadScript('verify-snapshot')
const page = loadScript('verify-page')
const locate = loadScript('verify-locate')

/** Counters of a partition that the checker compares. */
export const COMPARED_COUNTERS = [
  ...(['enqueued', 'completed', 'removed', 'voided'] as const),
  ...(['delivered', 'failed', 'retried', 'dead', 'recovered'] as const),
]
export type ComparedCounter = (typeof COMPARED_COUNTERS)[number]

export interface Lengths {
  readonly ready: readonly [number, number, number]
  readonly tasks: number
  readonly attempts: number
  readonly checkpoints: number
  readonly scheduled: number
  readonly leases: number
  readonly dead: number
  readonly errors: number
  readonly results: number
  readonly resultExpiry: number
}

export interface Contents {
  readonly ready: readonly [string[], string[], string[]]
  readonly tasks: string[]
  readonly attempts: string[]
  readonly checkpoints: string[]
  readonly scheduled: string[]
  readonly leases: string[]
  readonly dead: string[]
  readonly errors: string[]
  readonly results: string[]
  readonly resultExpiry: string[]
  /** Names in each lease, in the order of `leases`. */
  readonly held: string[][]
}

export interface Snapshot {
  readonly lengths: Lengths
  /** Of the lists high, medium and low, and of all leases. */
  readonly bundled: readonly [number, number, number, number]
  readonly counters: Readonly<Record<ComparedCounter, number>>
  /** Undefined where there are more names than were asked for. */
  readonly contents: Contents | undefined
}

export function snapshotCall(keys: PartitionKeys, mostNames: number): ScriptCall<Snapshot> {
  return {
    script: snapshot,
    keys: [
      ...keys.ready,
      ...[keys.tasks, keys.attempts, keys.checkpoints, keys.bundled, keys.scheduled, keys.leases, keys.dead],
      ...[keys.errors, keys.results, keys.resultExpiry, keys.counters, keys.never],
    ],
    args: [keys.lease(''), mostNames],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== 4) throw unexpectedReply(snapshot.name, reply)
      const [lengths, bundled, counters, contents] = reply as [
        number[],
        (string | null)[],
        (string | null)[],
        unknown[],
      ]
      return {
        lengths: inOrder(lengths) as unknown as Lengths,
        bundled: bundled.map(Number) as [number, number, number, number],
        counters: Object.fromEntries(
          COMPARED_COUNTERS.map((name, i) => [name, Number(counters[i] ?? 0)]),
        ) as Record<ComparedCounter, number>,
        contents:
          contents.length === 0
            ? undefined
            : ({ ...inOrder(contents), held: contents[12] } as unknown as Contents),
      }
    },
  }
}

/** As verify-snapshot.lua gives them. */
function inOrder(all: readonly unknown[]) {
  const [high, medium, low, tasks, attempts, checkpoints, scheduled, leases, ...rest] = all
  const [dead, errors, results, resultExpiry] = rest
  const ready = [high, medium, low]
  return { ready, tasks, attempts, checkpoints, scheduled, leases, dead, errors, results, resultExpiry }
}

export type Section =
  | ('tasks' | 'attempts' | 'checkpoints' | 'errors' | 'results' | 'expiry' | 'scheduled' | 'dead')
  | ('leases' | 'lease' | 'list')

export interface Page {
  /** '0' at the end. */
  readonly cursor: string
  readonly bytes: number
  readonly names: readonly string[]
  /** One for each name, of all but 'lease' and 'list'; what they mean is in verify-page.lua. */
  readonly flags: readonly number[]
}

export function pageCall(
  keys: PartitionKeys,
  input: {
    readonly key: string
    readonly section: Section
    readonly cursor: string | number
    readonly count: number
  },
): ScriptCall<Page> {
  const { key, section, cursor, count } = input
  return {
    script: page,
    keys: [
      ...[
        key,
        keys.tasks,
        keys.scheduled,
        keys.dead,
        keys.errors,
        keys.results,
        keys.resultExpiry,
        keys.never,
      ],
    ],
    args: [section, cursor, count, keys.lease('')],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== 4) throw unexpectedReply(page.name, reply)
      const [next, bytes, names, flags] = reply as [string, number, string[], number[]]
      return { cursor: String(next), bytes, names, flags }
    },
  }
}

/** Where a task is: how often its own name, or that of its bundle, stands in each kind of place. */
export interface Whereabouts {
  readonly ownRecord: boolean
  readonly bundleRecord: boolean
  readonly scheduled: boolean
  readonly dead: boolean
  readonly own: number
  readonly byBundle: number
}

/** Entries of lists, all together, of which one call searches all; some ms of the master's time. */
export const MOST_SEARCHED = 1_000_000
const MOST_LEASES = 5_000

/** @param near entries of each list that are searched from both ends; 0: all. `whole`: nothing was left out. */
export function locateCall(
  keys: PartitionKeys,
  ids: readonly string[],
  near: number,
): ScriptCall<{ readonly whole: boolean; readonly found: readonly Whereabouts[] }> {
  return {
    script: locate,
    keys: [...keys.ready, keys.tasks, keys.scheduled, keys.leases, keys.dead, keys.never],
    args: [keys.lease(''), near, MOST_SEARCHED, MOST_LEASES, ...ids],
    parse(reply) {
      const numbers = reply as number[]
      if (!Array.isArray(reply) || (numbers.length !== 1 && numbers.length !== 1 + 7 * ids.length)) {
        throw unexpectedReply(locate.name, reply)
      }
      const found: Whereabouts[] = []
      for (let at = 1; at + 6 < numbers.length; at += 7) {
        const [records = 0, scheduled, dead, leases = 0, leasesByBundle = 0, lists = 0, listsByBundle = 0] =
          numbers.slice(at, at + 7)
        found.push({
          ownRecord: (records & 1) !== 0,
          bundleRecord: (records & 2) !== 0,
          scheduled: scheduled === 1,
          dead: dead === 1,
          own: leases + lists,
          byBundle: leasesByBundle + listsByBundle,
        })
      }
      return { whole: numbers[0] === 1, found }
    },
  }
}
