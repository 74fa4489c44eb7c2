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
import { cannotWrite, isWritingLog } from './shutdown.js'

/** A log that is being written for the first time has none of the data before it is done. */
const WRITTEN_MS = 30_000
/** A server that could not write tries again each second. */
const RETRIED_MS = 2_500
const POLL_MS = 100

/**
 * Why a node must not be ended yet, if its data is to stay, and what to type; null: it may. One that is started with an append-only file reads
 * that and nothing else, whatever SHUTDOWN has saved beside it. One that does not answer is not waited for.
 */
export async function notKept(place: NodePlace): Promise<string | null> {
  if (!(await startsFromLog(place.dir))) return null
  const access = linkOptions(place)
  try {
    return await withLink({ host: HOST, port: place.port }, access, async (link) => {
      if (await isLogOff(link)) {
        const cli = redisCli({ host: HOST, port: String(place.port) }, access, 'CONFIG SET appendonly yes')
        return `its append-only file was switched off at run time, and is on in its ${CONFIG_FILE}, so that it would come back with old data: ${cli}`
      }
      return await untilWritten(link, place.dir)
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

/** Also a rewrite that is not the first one is waited for, since nothing tells them apart. What takes longer is left to SHUTDOWN, which refuses. */
async function untilWritten(link: NodeLink, dir: string): Promise<string | null> {
  const started = performance.now()
  for (;;) {
    const info = await persistenceOf(link)
    const failed = info.get('aof_enabled') === '1' && info.get('aof_last_write_status') === 'err'
    const waitedMs = performance.now() - started
    if (failed && waitedMs > RETRIED_MS) return cannotWrite(info, dir)
    if (!failed && (!isWritingLog(info) || waitedMs > WRITTEN_MS)) return null
    await sleep(POLL_MS)
  }
}

const persistenceOf = async (link: NodeLink) => parseFields(await link.text('INFO', 'persistence'))
