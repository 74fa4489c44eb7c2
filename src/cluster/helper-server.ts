import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RedisServer } from './find-server.js'
import type { Address } from './link.js'
import { discardProcess, type NodePlace, probeNode, startNode } from './node.js'
import { CONFIG_FILE, type Settings, singleServerConfig } from './node-config.js'
import { freePorts, HOST } from './ports.js'
import { isAlive, type ProcessIdentity, processStamp } from './processes.js'

/** A server that an operation has for itself: on the loopback address, behind a password, in a folder among the temporary ones. */
export interface HelperServer {
  readonly address: Address
  readonly place: NodePlace
  close(): Promise<void>
}

const PREFIX = 'shardq-load-'
const OWNER = 'owner.json'

interface Owner extends ProcessIdentity {
  readonly port: number
  readonly password: string
}

export interface HelperOptions {
  readonly settings?: Settings
  /** What is to lie in its folder before it is started. */
  readonly prepare?: (dir: string) => Promise<void>
  /** Told why it did not start, while its folder is still there. @returns what is thrown in place of it */
  readonly onFailed?: (error: Error, dir: string) => Promise<Error>
  readonly signal?: AbortSignal | undefined
}

/** Its folder names us, so that the next one clears away what a process that was killed has left. */
export async function startHelper(
  server: RedisServer,
  { settings = {}, prepare, onFailed, signal }: HelperOptions = {},
): Promise<HelperServer> {
  const [port = 0] = await freePorts(1)
  const dir = await mkdtemp(join(tmpdir(), PREFIX))
  const password = randomBytes(24).toString('hex')
  const place: NodePlace = { port, dir, access: { password } }
  try {
    const owner: Owner = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '', port, password }
    await writeFile(join(dir, OWNER), JSON.stringify(owner), { mode: 0o600 })
    await prepare?.(dir)
    const config = singleServerConfig({ port, dir, settings, security: { password } })
    await writeFile(join(dir, CONFIG_FILE), config, { mode: 0o600 })
    const identity = await startNode(server, place, { signal })
    const close = async () => {
      await discardProcess(identity)
      await rm(dir, { recursive: true, force: true })
    }
    return { address: { host: HOST, port }, place, close }
  } catch (error) {
    const reason = (await onFailed?.(error as Error, dir)) ?? error
    await rm(dir, { recursive: true, force: true })
    throw reason
  }
}

/** Ends servers, and removes folders, of processes that are no more: killed, they could not do it themselves. */
export async function sweepHelpers(): Promise<void> {
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
