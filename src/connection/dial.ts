import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions as TlsOptions } from 'node:tls'
import { AbstractConnector, Redis, type RedisOptions } from 'ioredis'
import type { NodeAddress } from './options.js'

/** Bytes of a server's first words that are kept, to tell what it is if it is not what we expect. */
const FIRST_WORDS = 256
/** What ioredis waits for the other side to close before it destroys a socket, ms (its default). */
const LINGER_MS = 2_000

export interface Dialled {
  readonly redis: Redis
  /** What the server said first, as far as it was kept; '' before it has said anything, and after `trust`. */
  firstWords(): string
  /** It is what we expect: what it says is not kept any more. */
  trust(): void
}

export interface DialOptions {
  readonly address: NodeAddress
  readonly tls: TlsOptions | undefined
  /** Told of every piece that arrives. */
  readonly onData?: () => void
  readonly redis: RedisOptions
}

/**
 * A connection by ioredis over a socket of our own. ioredis listens to the first error of a socket alone, and a TLS socket may
 * have two: its own, that the certificate has expired, and then the server's alert. The second would end the process.
 */
export function dial({ address: { host, port }, tls, onData, redis: options }: DialOptions): Dialled {
  let words = ''
  let missing = FIRST_WORDS
  const listen = (chunk: Buffer) => {
    onData?.()
    if (missing <= 0) return
    words += chunk.toString('latin1', 0, missing)
    missing -= chunk.length
  }
  class Connector extends AbstractConnector {
    constructor() {
      super(options.disconnectTimeout ?? LINGER_MS)
    }

    async connect(): Promise<Socket> {
      this.connecting = true
      await Promise.resolve()
      if (!this.connecting) throw new Error('Connection is closed.')
      const socket = tls === undefined ? connectTcp({ host, port }) : connectTls({ host, port, ...tls })
      socket.on('error', (error: Error) => {
        this.firstError ??= error
      })
      // ioredis reads its replies from the moment in which the connection stands, so nothing is missed by listening earlier.
      socket.on('data', listen)
      this.stream = socket
      return socket
    }
  }
  const secure = tls === undefined ? {} : { tls }
  const redis = new Redis({
    ...options,
    ...secure,
    host,
    port,
    protocol: 2,
    replyMapping: 'legacy',
    Connector,
  })
  return {
    redis,
    firstWords: () => words,
    trust: () => {
      words = ''
      missing = 0
    },
  }
}
