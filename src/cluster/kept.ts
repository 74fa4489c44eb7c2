/** Whether the next start of a node will find what it has now. */
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startsFrom } from './config-lines.js'
import { NodeUnreachableError } from './errors.js'
import { type NodeLink, withLink } from './link.js'
import { hasLostFolder, lostFolder } from './lost-folder.js'
import { writtenView } from './membership/local-nodes.js'
import { linkOptions, type NodePlace, type NodeState, STOP_TIMEOUT_MS } from './node.js'
import { CONFIG_FILE } from './node-config.js'
import { hasLogOpen } from './open-log.js'
import { HOST } from './ports.js'
import type { ProcessIdentity } from './processes.js'
import { redisCli } from './redis-cli.js'
import { isForbidden, parseFields } from './replies.js'
import { settingOf } from './settings-read.js'
import { cannotWrite, hasLogFailed, isWritingLog, LOG_WRITTEN } from './shutdown.js'

/** A log that is being written for the first time has none of the data before it is done. */
const WRITTEN_MS = 30_000
/** A server that could not write tries again each second. */
const RETRIED_MS = 2_500
const POLL_MS = 100

type Found = Extract<NodeState, { process: ProcessIdentity }>

/**
 * Why a node must not be ended yet, if its data is to stay, and what to type; null: it may. One that is started with an append-only file reads
 * that and nothing else, whatever SHUTDOWN has saved beside it.
 */
export async function notKept(
  place: NodePlace,
  found: Found,
  { writtenMs = WRITTEN_MS }: { readonly writtenMs?: number } = {},
): Promise<string | null> {
  const { pid } = found.process
  const isLost = await hasLostFolder(place, pid)
  if (!isLost && (await startsFrom(place.dir)) !== 'log') return null
  if (found.state === 'unresponsive') return unheard(place, pid, found.refusal)
  const patient = { ...linkOptions(place), timeoutMs: STOP_TIMEOUT_MS }
  try {
    return await withLink({ host: HOST, port: place.port }, patient, async (link) => {
      if (isLost) return await lostFolder(link, place)
      if (!(await isLogOff(link))) return await untilWritten(link, place, pid, writtenMs)
      return `its append-only file was switched off at run time, and is on in its ${CONFIG_FILE}, so that it would come back with old data: ${cli(place, 'CONFIG SET appendonly yes')}`
    })
  } catch (error) {
    if (error instanceof NodeUnreachableError) return unheard(place, pid)
    throw error
  }
}

/**
 * Of one that says nothing the open files tell. A replica closes its log while it is synced, and has nothing that its master has not, which is
 * looked at, too.
 */
async function unheard(place: NodePlace, pid: number, refusal?: Error): Promise<string | null> {
  if ((await hasLogOpen(pid)) !== false || (await isReplica(place))) return null
  const why = refusal === undefined ? '' : ` (${refusal.message})`
  return (
    `it does not answer${why}, and has no append-only file open, though its ${CONFIG_FILE} says appendonly yes, so that it would come back with old data; ` +
    `when it answers, after kill -CONT ${pid} if it is frozen: ${cli(place, 'CONFIG SET appendonly yes')}`
  )
}

/** By what it has written down. */
async function isReplica({ dir, port }: NodePlace): Promise<boolean> {
  const view = await writtenView(dirname(dir), port)
  return view.some(({ myself, role }) => myself && role === 'replica')
}

/** A replica has none while it is synced, and gets it back by itself: what it was told says more than what it does. */
async function isLogOff(link: NodeLink): Promise<boolean> {
  try {
    return (await settingOf(link, 'appendonly')) === 'no'
  } catch (error) {
    if (!isForbidden(error as Error)) throw error
    return (await persistenceOf(link)).get('aof_enabled') === '0'
  }
}

/**
 * Where the system does not tell which one is the first, every rewrite is waited for. SHUTDOWN is refused only while the first is being written:
 * one that is still to come, or has failed, keeps nobody from ending the node.
 */
async function untilWritten(
  link: NodeLink,
  place: NodePlace,
  pid: number,
  writtenMs: number,
): Promise<string | null> {
  const started = performance.now()
  for (;;) {
    const info = await persistenceOf(link)
    const waitedMs = performance.now() - started
    const isFull = info.get('aof_enabled') === '1' && info.get('aof_last_write_status') === 'err'
    if (!isFull && (!isWritingLog(info) || (await hasLogOpen(pid)))) return null
    if (isFull && waitedMs > RETRIED_MS) return cannotWrite(info, place.dir)
    if (!isFull && waitedMs > (hasLogFailed(info) ? RETRIED_MS : writtenMs)) return unwritten(info, place)
    await sleep(POLL_MS)
  }
}

/** What a log that has not all of the data yet waits for. A server that has failed three times pauses for up to an hour, but obeys. */
function unwritten(info: ReadonlyMap<string, string>, place: NodePlace): string {
  const missing = 'its append-only file has not all of its data yet'
  if (hasLogFailed(info))
    return `${missing}: ${cannotWrite(info, place.dir)} - and then: ${cli(place, 'BGREWRITEAOF')}`
  const isWaiting = info.get('aof_rewrite_in_progress') === '0' && info.get('rdb_bgsave_in_progress') === '1'
  const waitsFor = isWaiting ? 'a snapshot is being saved first' : 'it is still to be written to its end'
  return `${missing}: ${waitsFor}; wait until this says ${LOG_WRITTEN}: ${cli(place, 'INFO persistence')}`
}

const persistenceOf = async (link: NodeLink) => parseFields(await link.text('INFO', 'persistence'))

const cli = (place: NodePlace, command: string) =>
  redisCli({ host: HOST, port: String(place.port) }, linkOptions(place), command)
