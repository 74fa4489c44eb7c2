import { randomBytes } from 'node:crypto'
import { copyFile, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { dataFaultIn } from '../data-fault.js'
import type { RedisServer } from '../find-server.js'
import { NodeLink } from '../link.js'
import { discardProcess, linkOptions, type NodePlace, probeNode, startNode } from '../node.js'
import { CONFIG_FILE, LOG_FILE, singleServerConfig } from '../node-config.js'
import { freePorts, HOST } from '../ports.js'
import { isAlive, type ProcessIdentity, processStamp } from '../processes.js'
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

const PREFIX = 'shardq-load-'
const OWNER = 'owner.json'
const LINK_MS = 60_000
const LOAD_MS = 3_600_000
const SETTINGS = { appendonly: 'no', save: '', maxmemory: '0' }

interface Owner extends ProcessIdentity {
  readonly port: number
  readonly password: string
}

/**
 * Has a server of its own read an RDB: nobody else knows what is really in it. In a folder of its own, where no AOF can lie
 * beside it (a server with `appendonly yes` would read that instead, and be empty without an error) and on the loopback address
 * behind a password. It never writes; the backup it only reads.
 * @throws LoadFault when it does not take the file
 */
export async function loadRdb(
  server: RedisServer,
  rdb: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<LoadServer> {
  const [port = 0] = await freePorts(1)
  const dir = await mkdtemp(join(tmpdir(), PREFIX))
  const password = randomBytes(24).toString('hex')
  const place: NodePlace = { port, dir, access: { password } }
  let identity: ProcessIdentity | undefined
  let link: NodeLink | undefined
  const close = async () => {
    link?.close()
    if (identity) await discardProcess(identity)
    await rm(dir, { recursive: true, force: true })
  }
  try {
    const owner: Owner = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '', port, password }
    await writeFile(join(dir, OWNER), JSON.stringify(owner), { mode: 0o600 })
    await placeRdb(resolve(rdb), join(dir, 'dump.rdb'))
    const config = singleServerConfig({ port, dir, settings: SETTINGS, security: { password } })
    await writeFile(join(dir, CONFIG_FILE), config, { mode: 0o600 })
    identity = await startNode(server, place, { signal })
    link = await NodeLink.open({ host: HOST, port }, { ...linkOptions(place), timeoutMs: LINK_MS })
    const info = await untilLoaded(link, signal)
    const count = (name: string) => Number(info.get(name) ?? Number.NaN)
    return {
      link,
      loaded: count('rdb_last_load_keys_loaded'),
      expired: count('rdb_last_load_keys_expired'),
      close,
    }
  } catch (error) {
    const reason = signal?.aborted ? undefined : await reasonOf(dir)
    await close()
    throw reason === undefined ? error : new LoadFault(reason, { cause: error })
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

/** Ends servers, and removes folders, of processes that are no more: killed, they could not do it themselves. */
export async function sweepLeftovers(): Promise<void> {
  for (const name of (await readdir(tmpdir())).filter((each) => each.startsWith(PREFIX))) {
    const dir = join(tmpdir(), name)
    const owner = await ownerOf(dir)
    // Just being made by somebody, or not ours to read.
    if (!owner || (await isAlive(owner))) continue
    const found = await probeNode({ dir, port: owner.port, access: { password: owner.password } })
    if ('process' in found) await discardProcess(found.process)
    await rm(dir, { recursive: true, force: true })
  }
}

async function ownerOf(dir: string): Promise<Owner | null> {
  try {
    return JSON.parse(await readFile(join(dir, OWNER), 'utf8')) as Owner
  } catch {
    return null
  }
}
