import { join } from 'node:path'
import { dataFaultIn } from '../data-fault.js'
import { NodeStartError } from '../errors.js'
import type { RollNode } from './standing.js'

/** A node that was stopped and does not come back, and what is known of it. */
export interface NoReturn {
  readonly node: RollNode
  /** How it is restarted (hands.ts). */
  readonly words: string
  /** Whom it follows, and who has all that it has. */
  readonly master: RollNode | undefined
  /** Its settings before it was stopped; undefined: not known. */
  readonly config: ReadonlyMap<string, string> | undefined
}

/** A node that answers, and is not back: it was not restarted, or is loading its data. Its files are in use. */
export class RunsStill extends Error {
  /** @param seen what it said last */
  constructor(
    readonly seen: string,
    { name }: RollNode,
    timeoutMs: number,
  ) {
    super(notBack(name, timeoutMs, seen))
  }
}

export const notBack = (name: string, timeoutMs: number, seen: string) =>
  `${name} did not come back within ${timeoutMs / 1000} s: ${seen}`

/** What a process says that was there before. */
export const NOT_ENDED = 'it has not ended yet'

/**
 * Names the node, what its server says, and what to type. Where a server cannot read its data, nothing was lost: its master has them all. Where
 * we do not see its log, it is said as one thing that it may be.
 */
export function explainNoReturn(error: Error, away: NoReturn): Error {
  const { name } = away.node
  if (error instanceof RunsStill)
    return new Error(
      `${error.message}; it runs, so leave its files alone, ${
        error.seen === NOT_ENDED
          ? `and see why this does not restart it: ${away.words}`
          : 'and type this again when it is done, or give it longer: --come-back-ms'
      }`,
      { cause: error },
    )
  if (!(error instanceof NodeStartError))
    return new Error(
      `${error.message}; see its log${logOf(away)}; if it cannot read its data: ${wayOut(away)}`,
      {
        cause: error,
      },
    )
  const fault = dataFaultIn(error.log)
  if (fault === undefined) return error
  return new Error(`${name} does not start, since it cannot read its data: ${fault}; ${wayOut(away)}`, {
    cause: error,
  })
}

function wayOut({ master, config }: NoReturn): string {
  const dir = config?.get('dir') ?? ''
  const isLog = config?.get('appendonly') !== 'no'
  const folder = join(dir, config?.get('appenddirname') || 'appendonlydir')
  const check = `redis-check-aof --fix ${join(folder, `${config?.get('appendfilename') || 'appendonly.aof'}.manifest`)}`
  const all = isLog ? folder : join(dir, config?.get('dbfilename') || 'dump.rdb')
  if (!master) return isLog ? `cut off what cannot be read: ${check}` : `look at it: redis-check-rdb ${all}`
  const again = `its master ${master.name} has all that it had, so move ${all} away, and it begins empty and copies that`
  return isLog ? `${again}; or cut off what cannot be read: ${check}` : again
}

function logOf({ config }: NoReturn): string {
  const file = config?.get('logfile')
  return file ? ` (${file})` : ''
}
