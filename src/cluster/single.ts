import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Access } from '../connection/target.js'
import { ensureServer } from './find-server.js'
import { discardProcess, type NodePlace, startNode } from './node.js'
import { CONFIG_FILE, type Settings, singleServerConfig } from './node-config.js'
import { checkPortsFree, freePorts, HOST } from './ports.js'
import { accessTo, type Security } from './security/access.js'
import { askedPassword, withoutSecrets } from './security/asked.js'
import { generatePassword } from './security/password.js'
import type { TlsUpOptions } from './up-options.js'

export interface SingleOptions {
  /** Default: any free port. */
  readonly port?: number
  readonly redisPath?: string
  /** Redis settings that replace ours: the `queue` profile without a cluster. */
  readonly settings?: Settings
  /** As in `UpOptions`. */
  readonly password?: string | true
  /** As in `UpOptions`; the certificates have to be there. */
  readonly tls?: TlsUpOptions & { readonly dir: string }
  readonly signal?: AbortSignal
}

/** One Redis that is not a cluster, for development and tests of `mode: 'single'`. */
export interface SingleServer {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** A new folder among the temporary ones. */
  readonly dir: string
  /** `redis://127.0.0.1:<port>`, with TLS `rediss://`; without the password. */
  readonly url: string
  /** What a client needs besides: password and certificates, where they are demanded. */
  readonly access: Access
  /** Ends it at once and removes its folder with all data. */
  stop(): Promise<void>
}

/** @throws PortInUseError, ServerNotFoundError, ServerInstallError, ServerTooOldError, NodeStartError */
export async function startSingle(options: SingleOptions = {}): Promise<SingleServer> {
  const server = await ensureServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
  const port = options.port ?? (await freePorts(1))[0] ?? 0
  await checkPortsFree([port], { bus: false })
  const dir = await mkdtemp(join(tmpdir(), 'shardq-single-'))
  try {
    const asked = askedPassword(options)
    const password = asked === true ? generatePassword() : asked
    const { dir: tlsDir, authClients = true } = options.tls ?? {}
    const security: Security = {
      ...(password === undefined ? {} : { password }),
      ...(tlsDir === undefined ? {} : { tls: { dir: resolve(tlsDir), authClients } }),
    }
    const settings = withoutSecrets(options.settings)
    const place: NodePlace = { port, dir, access: accessTo(dir, security) }
    const config = singleServerConfig({ port, dir, settings, security })
    await writeFile(join(dir, CONFIG_FILE), config, { mode: 0o600 })
    const process = await startNode(server, place, { signal: options.signal })
    const stop = async () => {
      await discardProcess(process)
      await rm(dir, { recursive: true, force: true })
    }
    const url = `${security.tls ? 'rediss' : 'redis'}://${HOST}:${port}`
    return { host: HOST, port, pid: process.pid, dir, url, access: place.access, stop }
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}
