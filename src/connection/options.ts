import type { ConnectionOptions as TlsOptions } from 'node:tls'

export interface NodeAddress {
  readonly host: string
  readonly port: number
}

interface CommonConnectionOptions {
  /** ACL user. Default: the server's `default` user. */
  readonly username?: string
  /** Best given through SHARDQ_REDIS_PASSWORD. Never shown in errors or logs. */
  readonly password?: string
  /** `true` for TLS with the system's certificates, or Node's own TLS options. Default: no TLS. */
  readonly tls?: boolean | TlsOptions
  /** Sockets per node for enqueueing. More help only where one socket is the bottleneck. Default 1. */
  readonly connectionsPerNode?: number
  /**
   * Longest silence while a reply is awaited, in ms: a node that is silent for so long counts as dead. A reply that goes on arriving is
   * waited for, up to 60 s. Default 1,000, at least 50.
   */
  readonly commandTimeoutMs?: number
  /** Longest wait for `connect()`, in ms. Default 5,000. */
  readonly connectTimeoutMs?: number
}

export interface ClusterConnectionOptions extends CommonConnectionOptions {
  readonly mode: 'cluster'
  /** Nodes to ask first; one that answers is enough, the others are found. */
  readonly nodes: readonly NodeAddress[]
  /** Where inspection (`depth`, `getTask`, `deadLetters.list`) reads. A replica may lag. Default `master`. */
  readonly readFrom?: 'master' | 'replica'
  /** Addresses to use in place of those that the cluster announces, by address or host name: `'10.0.0.1:6379' -> { host, port }`. */
  readonly natMap?: Readonly<Record<string, NodeAddress>>
}

export interface SingleConnectionOptions extends CommonConnectionOptions {
  readonly mode: 'single'
  /** `redis://[user[:password]@]host[:port]`, or `rediss://` for TLS. */
  readonly url: string
}

export type ConnectionOptions = ClusterConnectionOptions | SingleConnectionOptions
