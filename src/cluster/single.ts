import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureServer } from './find-server.js'
import { discardProcess, type NodePlace, startNode } from './node.js'
import { CONFIG_FILE, type Settings, singleServerConfig } from './node-config.js'
import { checkPortsFree, freePorts, HOST } from './ports.js'

export interface SingleOptions {
  /** Default: any free port. */
  readonly port?: number
  readonly redisPath?: string
  /** Redis settings that replace ours: the `queue` profile without a cluster. */
  readonly settings?: Settings
  readonly signal?: AbortSignal
}

/** One Redis that is not a cluster, for development and tests of `mode: 'single'`. */
export interface SingleServer {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** A new folder among the temporary ones. */
  readonly dir: string
  /** `redis://127.0.0.1:<port>` */
  readonly url: string
  /** Ends it at once and removes its folder with all data. */
  stop(): Promise<void>
}

/** @throws PortInUseError, ServerNotFoundError, ServerInstallError, ServerTooOldError, NodeStartError */
export async function startSingle(options: SingleOptions = {}): Promise<SingleServer> {
  const server = await ensureServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
  const port = options.port ?? (await freePorts(1))[0] ?? 0
  await checkPortsFree([port], { bus: false })
  const dir = await mkdtemp(join(tmpdir(), 'shardq-single-'))
  const password = options.settings?.requirepass
  const place: NodePlace = { port, dir, ...(password === undefined ? {} : { password }) }
  try {
    await writeFile(
      join(dir, CONFIG_FILE),
      singleServerConfig({ port, dir, settings: options.settings ?? {} }),
    )
    const process = await startNode(server, place, { signal: options.signal })
    const stop = async () => {
      await discardProcess(process)
      await rm(dir, { recursive: true, force: true })
    }
    return { host: HOST, port, pid: process.pid, dir, url: `redis://${HOST}:${port}`, stop }
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}
