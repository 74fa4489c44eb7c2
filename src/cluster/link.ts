import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { Redis } from 'ioredis'
import { AuthenticationError, ShardqError } from '../errors.js'
import { NodeUnreachableError } from './errors.js'

export interface Address {
  readonly host: string
  readonly port: number
}

export interface LinkOptions {
  /** Longest wait for the connection and for each command, milliseconds. Default 1000. */
  readonly timeoutMs?: number
  readonly username?: string
  readonly password?: string
  /** `true` for TLS with the system's certificates, or Node's own TLS options. Default: no TLS. */
  readonly tls?: boolean | TlsOptions
}

export const DEFAULT_TIMEOUT_MS = 1_000

/**
 * One connection to exactly one node, for administration: no redirects, no reconnecting, no retries, every
 * command bounded in time, so that a frozen node shows as an error and not as a wait.
 */
export class NodeLink {
  private constructor(
    readonly address: Address,
    private readonly redis: Redis,
  ) {}

  /** @throws NodeUnreachableError when nothing answers within the time-out, AuthenticationError */
  static async open(address: Address, options: LinkOptions = {}): Promise<NodeLink> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const redis = new Redis({
      ...address,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(options.tls ? { tls: options.tls === true ? {} : options.tls } : {}),
      protocol: 2,
      // CLIENT SETINFO (Redis 7.2): a user with few rights is refused it, and each refusal stands in ACL LOG.
      disableClientInfo: true,
      lazyConnect: true,
      connectTimeout: timeoutMs,
      commandTimeout: timeoutMs,
      // A node that is still loading its data answers INFO; the ready check would hold that back.
      enableReadyCheck: false,
      retryStrategy: () => null,
      // Every reply is awaited before we close, so there is nothing to linger for (2 s, by default).
      disconnectTimeout: 0,
      maxRetriesPerRequest: 0,
    })
    // ioredis reports on the event as well as on the promise; the promise is the one we listen to.
    let cause: Error | undefined
    redis.on('error', (error: Error) => {
      cause ??= error
    })
    try {
      await redis.connect()
    } catch (error) {
      redis.disconnect()
      const reason = explain(address, cause ?? error)
      throw reason instanceof ShardqError ? reason : unreachable(address, reason)
    }
    return new NodeLink(address, redis)
  }

  /**
   * Sends one command and returns its reply as text; nil becomes the empty string, an array its items with commas.
   * @throws NodeUnreachableError after the time-out, AuthenticationError, or the server's own error
   */
  async text(command: string, ...args: (string | number)[]): Promise<string> {
    return String((await this.reply(command, ...args)) ?? '')
  }

  /** As `text`, the reply as it came: a text, a number, null, or an array of such. */
  async reply(command: string, ...args: (string | number)[]): Promise<unknown> {
    try {
      return await this.redis.call(command, ...args)
    } catch (error) {
      throw explain(this.address, error)
    }
  }

  /** As `reply`, texts as the bytes that they are: names and values of other people's keys need not be UTF-8. */
  async bytes(command: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await this.redis.callBuffer(command, ...args)
    } catch (error) {
      throw explain(this.address, error)
    }
  }

  close(): void {
    this.redis.disconnect()
  }
}

const nameOf = ({ host, port }: Address) => `${host}:${port}`

const unreachable = (address: Address, cause: Error) => new NodeUnreachableError(nameOf(address), { cause })

/** The one place where this library reads what ioredis or the server says of a failure. */
function explain(address: Address, error: unknown): Error {
  const known = error instanceof Error ? error : new Error(String(error))
  if (/^(NOAUTH|WRONGPASS|NOPERM)/.test(known.message)) {
    // Not the error itself: ioredis hangs the command on it, password and all.
    return new AuthenticationError(nameOf(address), { cause: new Error(known.message) })
  }
  return known.message === 'Command timed out' ? unreachable(address, known) : known
}

/** Opens a link, runs `use`, closes the link whatever happens. */
export async function withLink<T>(
  address: Address,
  options: LinkOptions,
  use: (link: NodeLink) => Promise<T>,
): Promise<T> {
  const link = await NodeLink.open(address, options)
  try {
    return await use(link)
  } finally {
    link.close()
  }
}
