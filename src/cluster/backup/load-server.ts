import { copyFile, readFile, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { dataFaultIn } from '../data-fault.js'
import type { RedisServer } from '../find-server.js'
import { startHelper } from '../helper-server.js'
import { NodeLink } from '../link.js'
import { linkOptions } from '../node.js'
import { LOG_FILE } from '../node-config.js'
import { poll } from '../ready.js'
import { parseFields } from '../replies.js'

/** A server does not take the file. Its reason is the message. */
export class LoadFault extends Error {}

/** A server for one RDB, of this process alone. */
export interface LoadServer {
  readonly link: NodeLink
  /** Keys in the file that a server takes. */
  readonly loaded: number
  /** Keys in the file whose time is over; it leaves them out. */
  readonly expired: number
  close(): Promise<void>
}

const LINK_MS = 60_000
const LOAD_MS = 3_600_000
const SETTINGS = { appendonly: 'no', save: '', maxmemory: '0' }

/**
 * Has a server of its own read an RDB: nobody else knows what is really in it. In a folder of its own, where no AOF can lie
 * beside it (a server with `appendonly yes` would read that instead, and be empty without an error). It never writes; the backup it
 * only reads.
 * @throws LoadFault when it does not take the file
 */
export async function loadRdb(
  server: RedisServer,
  rdb: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<LoadServer> {
  const faultOf = async (error: Error, dir: string) => {
    const reason = signal?.aborted ? undefined : await reasonOf(dir)
    return reason === undefined ? error : new LoadFault(reason, { cause: error })
  }
  const helper = await startHelper(server, {
    settings: SETTINGS,
    prepare: (dir) => placeRdb(resolve(rdb), join(dir, 'dump.rdb')),
    onFailed: faultOf,
    signal,
  })
  let link: NodeLink | undefined
  const close = async () => {
    link?.close()
    await helper.close()
  }
  try {
    link = await NodeLink.open(helper.address, { ...linkOptions(helper.place), timeoutMs: LINK_MS })
    const info = await untilLoaded(link, signal)
    const count = (name: string) => Number(info.get(name) ?? Number.NaN)
    return {
      link,
      loaded: count('rdb_last_load_keys_loaded'),
      expired: count('rdb_last_load_keys_expired'),
      close,
    }
  } catch (error) {
    const fault = await faultOf(error as Error, helper.place.dir)
    await close()
    throw fault
  }
}

/** A link to it costs nothing; where there are none, a copy. */
async function placeRdb(from: string, to: string): Promise<void> {
  await symlink(from, to).catch(() => copyFile(from, to))
}

async function untilLoaded(link: NodeLink, signal?: AbortSignal): Promise<ReadonlyMap<string, string>> {
  return poll({ timeoutMs: LOAD_MS, signal }, async () => {
    const info = parseFields(await link.text('INFO', 'persistence'))
    return info.get('loading') === '0' ? { done: info } : { missing: ['it is still loading'] }
  })
}

/** A server that cannot read its RDB says so in its log, and ends. */
async function reasonOf(dir: string): Promise<string | undefined> {
  return dataFaultIn(await readFile(join(dir, LOG_FILE), 'utf8').catch(() => ''))
}
