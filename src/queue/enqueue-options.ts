import { InvalidOptionError } from '../errors.js'
import { toJson } from './json.js'
import { DEFAULT_BACKOFF, DEFAULT_TIMEOUT_MS, PRIORITIES } from './task.js'
import { checkInteger, checkKeys, checkOneOf, checkText, describe } from './validate.js'

export type Priority = 'high' | 'medium' | 'low'

export interface Backoff {
  /** `fixed`: always `delayMs`. `exponential`: `delayMs` first, and doubled after every failure, up to `maxMs`. */
  readonly type: 'fixed' | 'exponential'
  /** In ms, up to a hundred years. */
  readonly delayMs: number
  /** Longest delay, in ms, before `jitter`; at least `delayMs`. Default 300,000, or `delayMs` where that is longer. */
  readonly maxMs?: number
  /** Share of the delay that is random, 0 to 1, so that tasks that failed together do not return together. Default 0. */
  readonly jitter?: number
}

export interface EnqueueOptions {
  /** Default `medium`. */
  readonly priority?: Priority
  /** Ms until the task becomes ready. Not together with `runAt`. */
  readonly delayMs?: number
  /** When the task becomes ready, by the producer's clock. A time that has passed means now. */
  readonly runAt?: Date | number
  /** Attempts in all. Default 4: one try and three retries. */
  readonly maxAttempts?: number
  /** Default `{ type: 'exponential', delayMs: 1000, maxMs: 300000, jitter: 0.1 }`. */
  readonly backoff?: Backoff
  /** Longest that a worker lets the handler run, in ms. Default 300,000. */
  readonly timeoutMs?: number
  /**
   * Tasks with the same key stay in one partition, in order of enqueueing. Price: they wait while it is down. A text of 1 to
   * 512 characters.
   */
  readonly partitionKey?: string
  /**
   * A second task with the same key, and the same `partitionKey` or none as well, is not stored within `idempotencyTtlMs`;
   * its id is that of the first. With another `partitionKey`, or with one where the first had none, it is another key: the
   * partition of the task is the only one that is asked. A text of 1 to 512 characters.
   */
  readonly idempotencyKey?: string
  /** Small JSON object that travels with the task, at most 64 KiB. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

export interface ResolvedEnqueueOptions {
  readonly priority: Priority
  readonly delayMs: number
  readonly maxAttempts: number
  readonly backoff: Backoff
  readonly timeoutMs: number
  readonly partitionKey: string | undefined
  readonly idempotencyKey: string | undefined
  readonly metadata: Readonly<Record<string, unknown>> | undefined
}

const KNOWN = [
  'priority',
  'delayMs',
  'runAt',
  'maxAttempts',
  'backoff',
  'timeoutMs',
  'partitionKey',
  'idempotencyKey',
  'metadata',
] as const satisfies readonly (keyof EnqueueOptions)[]

/** Longest delay: a hundred years. */
const MAX_DELAY_MS = 100 * 365 * 24 * 3_600_000
/** The last moment that a Date can hold. */
const LAST_DATE_MS = 8.64e15
const MAX_METADATA_BYTES = 64 * 1024

const DEFAULTS: ResolvedEnqueueOptions = {
  priority: 'medium',
  delayMs: 0,
  maxAttempts: 4,
  backoff: DEFAULT_BACKOFF,
  timeoutMs: DEFAULT_TIMEOUT_MS,
  partitionKey: undefined,
  idempotencyKey: undefined,
  metadata: undefined,
}

/** @throws InvalidOptionError, InvalidDataError, PayloadTooLargeError (metadata) */
export function resolveEnqueueOptions(options: EnqueueOptions | undefined): ResolvedEnqueueOptions {
  if (options === undefined) return DEFAULTS
  checkKeys('options', options, KNOWN)
  const { priority, maxAttempts, backoff, timeoutMs, partitionKey, idempotencyKey, metadata } = options
  if (metadata !== undefined) {
    checkKeys('options.metadata', metadata, Object.keys(metadata))
    toJson('options.metadata', metadata, MAX_METADATA_BYTES, 'metadata')
  }
  return {
    priority: priority === undefined ? 'medium' : checkOneOf('options.priority', priority, PRIORITIES),
    delayMs: resolveDelay(options),
    maxAttempts:
      maxAttempts === undefined
        ? DEFAULTS.maxAttempts
        : checkInteger('options.maxAttempts', maxAttempts, 1, 1_000),
    backoff: backoff === undefined ? DEFAULT_BACKOFF : checkBackoff(backoff),
    timeoutMs:
      timeoutMs === undefined
        ? DEFAULT_TIMEOUT_MS
        : checkInteger('options.timeoutMs', timeoutMs, 1, 2 ** 31 - 1),
    partitionKey:
      partitionKey === undefined ? undefined : checkText('options.partitionKey', partitionKey, 512),
    idempotencyKey:
      idempotencyKey === undefined ? undefined : checkText('options.idempotencyKey', idempotencyKey, 512),
    metadata,
  }
}

function resolveDelay({ delayMs, runAt }: EnqueueOptions): number {
  if (delayMs !== undefined && runAt !== undefined) {
    throw new InvalidOptionError('options.runAt', 'not together with delayMs; give one of them')
  }
  if (delayMs !== undefined) return checkInteger('options.delayMs', delayMs, 0, MAX_DELAY_MS)
  if (runAt === undefined) return 0
  const atMs = runAt instanceof Date ? runAt.getTime() : runAt
  if (typeof atMs !== 'number' || !Number.isFinite(atMs)) {
    const problem = `expected a Date or ms since 1970, got ${runAt instanceof Date ? 'an invalid Date' : describe(runAt)}`
    throw new InvalidOptionError('options.runAt', problem)
  }
  const inMs = Math.max(0, Math.ceil(atMs - Date.now()))
  if (inMs > MAX_DELAY_MS) {
    const given = Math.abs(atMs) <= LAST_DATE_MS ? new Date(atMs).toISOString() : String(atMs)
    const problem = `${given} is more than a hundred years from now; give an earlier time, as a Date or in ms since 1970`
    throw new InvalidOptionError('options.runAt', problem)
  }
  return inMs
}

function checkBackoff(backoff: Backoff): Backoff {
  checkKeys('options.backoff', backoff, ['type', 'delayMs', 'maxMs', 'jitter'])
  checkOneOf('options.backoff.type', backoff.type, ['fixed', 'exponential'])
  checkInteger('options.backoff.delayMs', backoff.delayMs, 0, MAX_DELAY_MS)
  if (backoff.maxMs !== undefined)
    checkInteger('options.backoff.maxMs', backoff.maxMs, backoff.delayMs, MAX_DELAY_MS)
  const { jitter } = backoff
  if (jitter !== undefined && !(typeof jitter === 'number' && jitter >= 0 && jitter <= 1)) {
    throw new InvalidOptionError(
      'options.backoff.jitter',
      `expected a number from 0 to 1, got ${String(jitter)}`,
    )
  }
  return backoff
}
