import { InvalidDataError } from '../errors.js'
import { describeError } from './describe-error.js'
import type { Backoff, Priority, ResolvedEnqueueOptions } from './enqueue-options.js'

export const PRIORITIES = ['high', 'medium', 'low'] as const satisfies readonly Priority[]

/** Position of a priority in every array and in the scripts: 0 high, 1 medium, 2 low. */
export type Level = 0 | 1 | 2

export function levelOf(priority: Priority): Level {
  return PRIORITIES.indexOf(priority) as Level
}

/** What a record holds: all of a task that does not change. */
export interface TaskRecord {
  readonly type: string
  readonly data: unknown
  readonly priority: Priority
  readonly maxAttempts: number
  /** Producer's clock, ms. */
  readonly enqueuedAt: number
  readonly timeoutMs: number
  readonly backoff: Backoff
  readonly metadata: Readonly<Record<string, unknown>>
  readonly partitionKey: string | undefined
}

interface RecordOptions {
  t?: number
  b?: Backoff
  m?: Readonly<Record<string, unknown>>
  k?: string
}

const DEFAULT_MAX_BACKOFF_MS = 300_000
export const DEFAULT_BACKOFF: Backoff = {
  type: 'exponential',
  delayMs: 1_000,
  maxMs: DEFAULT_MAX_BACKOFF_MS,
  jitter: 0.1,
}
export const DEFAULT_TIMEOUT_MS = 300_000
const NO_METADATA = Object.freeze({})

/**
 * A record as it stands in Redis: `<level><maxAttempts>|<JSON array>`, with a `k` before the bar where the task has a
 * key. The part before the bar is for the scripts (recover.lua, tend.lua) and `isKeyed`; the array is `[type, enqueuedAt, data, options?]`, where options that have their default
 * are left out: bytes here are bytes of the master's memory for every waiting task. It has no newline (JSON writes them as
 * `\\n`), since replies carry records as lines (exchange.lua).
 */
export function encodeRecord(typeJson: string, dataJson: string, options: ResolvedEnqueueOptions): string {
  const { timeoutMs, backoff, metadata, partitionKey } = options
  const plain =
    timeoutMs === DEFAULT_TIMEOUT_MS &&
    backoff === DEFAULT_BACKOFF &&
    metadata === undefined &&
    partitionKey === undefined
  const tail = plain ? ']' : `,${JSON.stringify(extraOf(options))}]`
  return headOf(typeJson, options) + dataJson + tail
}

let last = { typeJson: '', level: 0, maxAttempts: 0, keyed: false, atMs: 0, text: '' }

/** All before the data. Tasks of the same ms mostly have the same; it is made, and kept in memory, once for them. */
function headOf(typeJson: string, options: ResolvedEnqueueOptions): string {
  const { maxAttempts } = options
  const level = levelOf(options.priority)
  const keyed = options.partitionKey !== undefined || options.idempotencyKey !== undefined
  const atMs = Date.now()
  const same =
    last.atMs === atMs &&
    last.typeJson === typeJson &&
    last.level === level &&
    last.maxAttempts === maxAttempts &&
    last.keyed === keyed
  if (!same) {
    const text = `${level}${maxAttempts}${keyed ? 'k' : ''}|[${typeJson},${atMs},`
    last = { typeJson, level, maxAttempts, keyed, atMs, text }
  }
  return last.text
}

function extraOf({ timeoutMs, backoff, metadata, partitionKey }: ResolvedEnqueueOptions): RecordOptions {
  const extra: RecordOptions = {}
  if (timeoutMs !== DEFAULT_TIMEOUT_MS) extra.t = timeoutMs
  if (backoff !== DEFAULT_BACKOFF) extra.b = backoff
  if (metadata !== undefined) extra.m = metadata
  if (partitionKey !== undefined) extra.k = partitionKey
  return extra
}

export function levelOfRecord(record: string): number {
  return Number(record.charAt(0))
}

/** Whether the task has a key, so that it may never be run twice while its worker lives. */
export function isKeyed(record: string): boolean {
  return record.charAt(record.indexOf('|') - 1) === 'k'
}

/** @throws InvalidDataError if the record was not written by `encodeRecord` */
export function decodeRecord(id: string, record: string): TaskRecord {
  const bar = record.indexOf('|')
  const level = levelOfRecord(record)
  const maxAttempts = Number.parseInt(record.slice(1, bar), 10)
  try {
    const [type, enqueuedAt, data, extra] = JSON.parse(record.slice(bar + 1)) as [
      unknown,
      unknown,
      unknown,
      RecordOptions | undefined,
    ]
    const priority = PRIORITIES[level]
    if (bar < 2 || priority === undefined || typeof type !== 'string' || typeof enqueuedAt !== 'number') {
      throw new Error('its parts are not where they should be')
    }
    return {
      type,
      data,
      priority,
      maxAttempts,
      enqueuedAt,
      timeoutMs: extra?.t ?? DEFAULT_TIMEOUT_MS,
      backoff: extra?.b ?? DEFAULT_BACKOFF,
      metadata: extra?.m ?? NO_METADATA,
      partitionKey: extra?.k,
    }
  } catch (cause) {
    throw new InvalidDataError(
      `the stored record of task ${id}`,
      `it cannot be decoded: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}

/** An error as it is kept with a dead task. Bounded, so that one stack cannot fill a shard. */
export function encodeError(error: unknown): string {
  return JSON.stringify(describeError(error))
}

/** Ms until the next attempt, after `attempt` (1 for the first) has failed. */
export function backoffDelayMs(backoff: Backoff, attempt: number): number {
  const { type, delayMs } = backoff
  // A limit that nobody asked for must not cut a delay that somebody did ask for.
  const most = backoff.maxMs ?? Math.max(delayMs, DEFAULT_MAX_BACKOFF_MS)
  const grown = type === 'fixed' ? delayMs : delayMs * 2 ** Math.min(attempt - 1, 30)
  const delay = Math.min(grown, most)
  const jitter = backoff.jitter ?? 0
  return Math.round(delay * (1 - jitter + 2 * jitter * Math.random()))
}
