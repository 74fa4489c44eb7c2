import { InvalidOptionError } from '../errors.js'
import { ALL_PAIRS } from './grid.js'

export interface DemoOptions {
  /** Back-tests to run, 1 to 20,000. Default: all 20,000 pairs of the grid. */
  readonly tasks?: number
  /** Worker processes, 1 to 64. Default 2. */
  readonly workers?: number
  /** A server binary, or the folder that holds one. Default: SHARDQ_REDIS_PATH, then PATH. */
  readonly redisPath?: string
  /** First of six consecutive ports. Default: ports that are free. */
  readonly basePort?: number
  /** Kill a master half way. Default true. */
  readonly kill?: boolean
  /** Print one JSON document at the end and nothing else. Default false. */
  readonly json?: boolean
  /** Ends the demo early; it cleans up first. */
  readonly signal?: AbortSignal
}

/** @throws InvalidOptionError */
export function checkDemoOptions({ tasks, workers }: DemoOptions): void {
  check('--tasks', tasks, ALL_PAIRS)
  check('--workers', workers, 64)
}

function check(option: string, value: number | undefined, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return
  throw new InvalidOptionError(option, `expected a whole number from 1 to ${most}, got ${value}`)
}
