/** Whether the next start of a node will find what it has now. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeUnreachableError } from './errors.js'
import { type NodeLink, withLink } from './link.js'
import { linkOptions, type NodePlace } from './node.js'
import { CONFIG_FILE } from './node-config.js'
import { linesIn } from './owed/files.js'
import { HOST } from './ports.js'
import { redisCli } from './redis-cli.js'
import { isForbidden, parseFields } from './replies.js'
import { settingOf } from './settings-read.js'
import { cannotWrite, hasLogFailed, isWritingLog, LOG_WRITTEN } from './shutdown.js'

/** A log that is being written for the first time has none of the data before it is done. */
const WRITTEN_MS = 30_000
/** A server that could not write tries again each second. */
const RETRIED_MS = 2_500
const POLL_MS = 100

/**
 * Why a node must not be ended yet, if its data is to stay, and what to type; null: it may. One that is started with an append-only file reads
 * that and nothing else, whatever SHUTDOWN has saved beside it. One that does not answer is not waited for.
 */
export async function notKept(
  place: NodePlace,
  { writtenMs = WRITTEN_MS }: { readonly writtenMs?: number } = {},
): Promise<string | null> {
  if (!(await startsFromLog(place.dir))) return null
  const access = linkOptions(place)
  try {
    return await withLink({ host: HOST, port: place.port }, access, async (link) => {
      if (await isLogOff(link)) {
        const cli = redisCli({ host: HOST, port: String(place.port) }, access, 'CONFIG SET appendonly yes')
        return `its append-only file was switched off at run time, and is on in its ${CONFIG_FILE}, so that it would come back with old data: ${cli}`
      }
      return await untilWritten(link, place, writtenMs)
    })
  } catch (error) {
    if (error instanceof NodeUnreachableError) return null
    throw error
  }
}

/** Of several lines the last counts. One that cannot be read is not started either. */
async function startsFromLog(dir: string): Promise<boolean> {
  const text = await readFile(join(dir, CONFIG_FILE), 'latin1').catch(() => '')
  return /^["']?yes["']?$/i.test(linesIn(text).get('appendonly')?.at(-1) ?? '')
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
 * Also a rewrite that is not the first one is waited for, since nothing tells them apart. SHUTDOWN is refused only while the first is being
 * written: one that is still to come, or has failed, keeps nobody from ending the node.
 */
async function untilWritten(link: NodeLink, place: NodePlace, writtenMs: number): Promise<string | null> {
  const started = performance.now()
  for (;;) {
    const info = await persistenceOf(link)
    const waitedMs = performance.now() - started
    const isFull = info.get('aof_enabled') === '1' && info.get('aof_last_write_status') === 'err'
    if (!isFull && !isWritingLog(info)) return null
    if (isFull && waitedMs > RETRIED_MS) return cannotWrite(info, place.dir)
    if (!isFull && waitedMs > (hasLogFailed(info) ? RETRIED_MS : writtenMs)) return unwritten(info, place)
    await sleep(POLL_MS)
  }
}

/** What a log that has not all of the data yet waits for. A server that has failed three times pauses for up to an hour, but obeys. */
function unwritten(info: ReadonlyMap<string, string>, place: NodePlace): string {
  const cli = (command: string) =>
    redisCli({ host: HOST, port: String(place.port) }, linkOptions(place), command)
  const missing = 'its append-only file has not all of its data yet'
  if (hasLogFailed(info))
    return `${missing}: ${cannotWrite(info, place.dir)} - and then: ${cli('BGREWRITEAOF')}`
  const isWaiting = info.get('aof_rewrite_in_progress') === '0' && info.get('rdb_bgsave_in_progress') === '1'
  const waitsFor = isWaiting ? 'a snapshot is being saved first' : 'it is still to be written to its end'
  return `${missing}: ${waitsFor}; wait until this says ${LOG_WRITTEN}: ${cli('INFO persistence')}`
}

const persistenceOf = async (link: NodeLink) => parseFields(await link.text('INFO', 'persistence'))
