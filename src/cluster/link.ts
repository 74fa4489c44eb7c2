import type { TLSSocket, ConnectionOptions as TlsOptions } from 'node:tls'
import { Redis } from 'ioredis'
import { withoutCommand } from '../connection/replies.js'
import { type Party, tellingTls, tlsBehind } from '../connection/tls-fault.js'
import { ShardqError } from '../errors.js'
import { isRefusal, refusalOf } from '../rights/refusal.js'
import { ConnectionLostError, NodeFullError, NodeUnreachableError } from './errors.js'
import { isFull, wordsOnArrival } from './turned-away.js'

export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, by which a node is called. */
export const nameOf = ({ host, port }: Address) => `${host}:${port}`

export interface LinkOptions {
  /** Longest wait for the connection and for each command, milliseconds. Default 1000. */
  readonly timeoutMs?: number
  readonly username?: string
  readonly password?: string
  /** `true` for TLS with the system's certificates, or Node's own TLS options. Default: no TLS. */
  readonly tls?: boolean | TlsOptions
  /**
   * Where to connect in place of the addresses that the cluster announces: `'10.0.0.1:6379' -> { host, port }`. Nodes are called
   * by what they announce all the same, since it is what they call each other.
   */
  readonly natMap?: Readonly<Record<string, Address>>
}

/** Where a node is reached from here. */
export const reachedAt = (address: Address, { natMap }: LinkOptions): Address =>
  natMap?.[nameOf(address)] ?? address

export const DEFAULT_TIMEOUT_MS = 1_000

/**
 * One connection to exactly one node, for administration: no redirects, no reconnecting, no retries, every
 * command bounded in time, so that a frozen node shows as an error and not as a wait.
 */
export class NodeLink {
  /** ioredis tells of a broken connection twice: at the event, why; at the promise, only that. */
  #broke: Error | undefined
  #answered = false

  private constructor(
    readonly address: Address,
    private readonly redis: Redis,
    private readonly party: Party,
  ) {
    redis.on('error', (error: Error) => {
      this.#broke ??= withoutCommand(error)
    })
  }

  /**
   * @throws NodeUnreachableError when nothing answers within the time-out (NodeFullError: it takes no more clients),
   *   AuthenticationError, TlsError
   */
  static async open(address: Address, options: LinkOptions = {}): Promise<NodeLink> {
    const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    const { host, port } = reachedAt(address, options)
    const tls = options.tls === true ? {} : options.tls || undefined
    const redis = new Redis({
      host,
      port,
      ...(options.username === undefined ? {} : { username: options.username }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(tls === undefined ? {} : { tls }),
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
    const link = new NodeLink(address, redis, { address: { host, port }, tls, timeoutMs })
    try {
      await tellingTls(link.party, () =>
        redis.connect().catch((error: Error) => Promise.reject(link.#broke ?? withoutCommand(error))),
      )
    } catch (error) {
      redis.disconnect()
      const reason = await link.#turnedAway(explain(address, error))
      throw reason instanceof ShardqError ? reason : unreachable(address, reason)
    }
    return link
  }

  /**
   * Sends one command and returns its reply as text; nil becomes the empty string, an array its items with commas.
   * @throws NodeUnreachableError after the time-out (ConnectionLostError: the connection broke), AuthenticationError, TlsError, or
   *   the server's own error
   */
  async text(command: string, ...args: (string | number)[]): Promise<string> {
    return String((await this.reply(command, ...args)) ?? '')
  }

  /** As `text`, the reply as it came: a text, a number, null, or an array of such. */
  async reply(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#answer(this.redis.call(command, ...args))
  }

  /** As `reply`, texts as the bytes that they are: names and values of other people's keys need not be UTF-8. */
  async bytes(command: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    return this.#answer(this.redis.callBuffer(command, ...args))
  }

  /** When the certificate that the node has shown runs out, in ms since 1970; undefined without TLS. */
  get certificateEndsMs(): number | undefined {
    if (this.party.tls === undefined) return undefined
    const { valid_to } = (this.redis.stream as TLSSocket).getPeerCertificate()
    return valid_to === undefined ? undefined : Date.parse(valid_to)
  }

  close(): void {
    this.redis.disconnect()
  }

  async #answer(reply: Promise<unknown>): Promise<unknown> {
    try {
      const answer = await reply
      this.#answered = true
      return answer
    } catch (error) {
      throw await this.#explained(withoutCommand(error as Error))
    }
  }

  /** A server refuses a client certificate, or one who does not speak TLS, only after the connection has come about. */
  async #explained(error: Error): Promise<Error> {
    const fault = this.#answered ? undefined : await tlsBehind(this.party, this.#broke ?? error)
    return fault ?? this.#turnedAway(explain(this.address, error))
  }

  /** What a server says before it hangs up on one client too many, ioredis keeps to itself. */
  async #turnedAway(error: Error): Promise<Error> {
    if (!isBreak(error)) return error
    const said = this.#answered ? '' : await wordsOnArrival(this.party.address, this.party)
    return isFull(said)
      ? new NodeFullError(nameOf(this.address), said)
      : new ConnectionLostError(nameOf(this.address), { cause: this.#broke ?? error })
  }
}

const isBreak = ({ code, message }: NodeJS.ErrnoException) =>
  code === 'ECONNRESET' || code === 'EPIPE' || message === 'Connection is closed.'

const unreachable = (address: Address, cause: Error) => new NodeUnreachableError(nameOf(address), { cause })

/** The one place where this library reads what ioredis or the server says of a failure. */
function explain(address: Address, error: unknown): Error {
  const known = error instanceof Error ? error : new Error(String(error))
  if (isRefusal(known)) return refusalOf(nameOf(address), known)
  if (isFull(known.message)) return new NodeFullError(nameOf(address), known.message)
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
