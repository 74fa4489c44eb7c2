import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { plainHost } from './host.js'
import type { ConnectionOptions, NodeAddress } from './options.js'

export interface Target {
  readonly seeds: readonly NodeAddress[]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsOptions | undefined
}

/** As whom to connect, and where in place of what nodes announce; only what was given. */
export interface Access {
  readonly username?: string
  readonly password?: string
  readonly tls?: TlsOptions
  readonly natMap?: Readonly<Record<string, NodeAddress>>
}

/** Where to connect, and as whom: of a single server, all that may stand in its URL. */
export function resolveTarget(options: ConnectionOptions): Target {
  const tls = options.tls === true ? {} : options.tls === false ? undefined : options.tls
  if (options.mode === 'cluster') {
    const seeds = options.nodes.map(({ host, port }) => ({ host: plainHost(host), port }))
    return { seeds, username: options.username, password: options.password, tls }
  }
  const url = new URL(options.url)
  return {
    seeds: [{ host: plainHost(url.hostname), port: Number(url.port || 6379) }],
    username: options.username ?? (url.username === '' ? undefined : decodeURIComponent(url.username)),
    password: options.password ?? (url.password === '' ? undefined : decodeURIComponent(url.password)),
    tls: tls ?? (url.protocol === 'rediss:' ? {} : undefined),
  }
}

/** What `resolveTarget` says of credentials, as other nodes can be spoken to with them. */
export function accessOf(options: ConnectionOptions): Access {
  const { username, password, tls } = resolveTarget(options)
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    ...(options.mode === 'cluster' && options.natMap !== undefined ? { natMap: options.natMap } : {}),
  }
}
