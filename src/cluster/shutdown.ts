import { shellWord } from '../shell.js'
import { ConnectionLostError, NodeUnreachableError } from './errors.js'
import { type Address, type LinkOptions, withLink } from './link.js'

/** SHUTDOWN waits 10 s for replicas by default (shutdown-timeout). */
const SHUTDOWN_MS = 15_000

/**
 * Asks a server to end. Its connection breaks when it obeys; an answer is a refusal.
 * @param how `NOSAVE`, `NOW`, `FORCE`; none: in good order, with its data on disk
 * @throws the refusal; NodeUnreachableError when it was not there, or is silent for 15 s; AuthenticationError
 */
export async function askToEnd(
  node: Address,
  access: LinkOptions,
  how: readonly string[] = [],
): Promise<void> {
  await withLink(node, { ...access, timeoutMs: SHUTDOWN_MS }, async (link) => {
    try {
      await link.text('SHUTDOWN', ...how)
    } catch (error) {
      if (error instanceof ConnectionLostError) return
      if (error instanceof NodeUnreachableError || isRefusal(error)) throw error
    }
  })
}

/** The server's own word, `ERR Errors trying to SHUTDOWN`, and not that the connection broke. */
export const isRefusal = (error: unknown) => /^[A-Z]+ /.test((error as Error).message)

type Fields = ReadonlyMap<string, string>

export const isWritingLog = (info: Fields): boolean =>
  ['aof_rewrite_in_progress', 'aof_rewrite_scheduled'].some((field) => info.get(field) === '1')

/** The last try to write the log anew has failed, and none is under way: after three of them the server pauses, for up to an hour. */
export const hasLogFailed = (info: Fields): boolean =>
  info.get('aof_last_bgrewrite_status') === 'err' && info.get('aof_rewrite_in_progress') === '0'

/** What INFO persistence says then. */
export const LOG_WRITTEN = 'aof_rewrite_in_progress:0 and aof_rewrite_scheduled:0'

const STATUSES = ['aof_last_write_status', 'aof_last_bgrewrite_status', 'rdb_last_bgsave_status']

/** What INFO persistence says of a folder that takes no more; null: nothing. */
export function cannotWrite(info: Fields, dir: string): string | null {
  const failed = STATUSES.filter((field) => info.get(field) === 'err')
  if (failed.length === 0) return null
  const said = failed.map((field) => `${field}:err`).join(', ')
  return `it cannot write to ${dir} (${said}): its disk is full, or the folder may not be written; make room there: df -h ${shellWord(dir)}`
}

/** Why a server most likely refuses to end. What SHUTDOWN itself could not save is in no field, but in its log. */
export const whyRefused = (info: Fields, dir: string): string =>
  cannotWrite(info, dir) ??
  (isWritingLog(info)
    ? `it is writing its append-only file; wait until INFO persistence says ${LOG_WRITTEN}`
    : `it could not save to ${dir}, as its log there says; mostly the disk is full, or the folder may not be written; make room there: df -h ${shellWord(dir)}`)
