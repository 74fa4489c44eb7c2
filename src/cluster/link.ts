import type { TLSSocket, ConnectionOptions as TlsOptions } from 'node:tls'
import type { Redis } from 'ioredis'
import { type Dialled, dial } from '../connection/dial.js'
import { type Endpoint, endpointOf, isUnresolved, tlsFor } from '../connection/endpoint.js'
import { authenticate } from '../connection/handshake.js'
import { addressFrom, addressText, mappedIn } from '../connection/host.js'
import { withoutCommand } from '../connection/replies.js'
import { type Party, tellingTls, tlsBehind } from '../connection/tls-fault.js'
import { connectTrouble, lostTrouble } from '../connection/trouble.js'
import { ShardqError, TooManyClientsError } from '../errors.js'
import { isRefusal, refusalOf } from '../rights/refusal.js'
import { ConnectionLostError, NodeFullError, NodeUnreachableError } from './errors.js'
import { hostnameOf, learnHostnames } from './hostnames.js'
import { wordsOnArrival } from './turned-away.js'

export interface Address {
  readonly host: string
  readonly port: number
}

/** `host:port`, by which a node is called; an IPv6 address in brackets. */
export const nameOf: (address: Address) => string = addressText

/** Whether somebody who has typed this means this node: by its id, or its address. */
export function isMeant(node: Address & { readonly id: string }, typed: string): boolean {
  const address = addressFrom(typed)
  return node.id === typed || (address !== undefined && nameOf(address) === nameOf(node))
}

export interface LinkOptions {
  /** Longest wait for the connection and for each command, milliseconds. Default 1000. */
  readonly timeoutMs?: number
  readonly username?: string
  readonly password?: string
  /** Said where `password` is refused: while a password is being changed, a node may take one of the two only. */
  readonly otherPassword?: string
  /** `true` for TLS with the system's certificates, or Node's own TLS options. Default: no TLS. */
  readonly tls?: boolean | TlsOptions
  /**
   * Where to connect in place of the addresses that the cluster announces: `'10.0.0.1:6379' -> { host, port }`. Nodes are called
   * by what they announce all the same, since it is what they call each other.
   */
  readonly natMap?: Readonly<Record<string, Address>>
  /** Called before every command, which is not sent when it throws: by an operation, to do nothing once its lock is lost. */
  readonly mayCall?: () => void
  /** Of an operation: what was sent before, and not answered, is not carried out any more. */
  readonly fence?: LinkFence
}

/** See `operation/fence.ts`. */
export interface LinkFence {
  nameNext(): string
  enter(address: Address, access: LinkOptions): Promise<void>
  unanswered(address: Address, name: string): void
  answered(address: Address, name: string): void
}

/** Where a node is reached from here. */
export const reachedAt = (address: Address, { natMap }: LinkOptions): Address =>
  mappedIn(natMap ?? {}, address) ?? address

/** For `tls: true`. One object, since host names are kept with the TLS options. */
const SYSTEM_TLS: TlsOptions = {}

const tlsOf = ({ tls }: LinkOptions) => (tls === true ? SYSTEM_TLS : tls || undefined)

export const DEFAULT_TIMEOUT_MS = 1_000

/** What ioredis says then. */
const TIMED_OUT = 'Command timed out'

/** Longest that a server is asked for the reason of a broken connection, each of two ways. A command may be given a minute. */
const WHY_MS = 1_000

/**
 * One connection to exactly one node, for administration: no redirects, no reconnecting, no retries, every
 * command bounded in time, so that a frozen node shows as an error and not as a wait.
 */
export class NodeLink {
  readonly #redis: Redis
  /** ioredis tells of a broken connection twice: at the event, why; at the promise, only that. */
  #broke: Error | undefined
  #answered = false
  /** Its name at the server; '' where nobody fences it. */
  #name = ''
  #sent = 0
  /** Of the last command that was given up; 0: all before the last one that was answered. */
  #unanswered = 0
  #isLate = false

  private constructor(
    readonly address: Address,
    private readonly dialled: Dialled,
    private readonly party: Party,
    /** As they were given. */
    private readonly tls: TlsOptions | undefined,
    private readonly mayCall: () => void,
    private readonly fence: LinkFence | undefined,
  ) {
    this.#redis = dialled.redis
    this.#redis.on('error', (error: Error) => {
      this.#broke ??= withoutCommand(error)
    })
  }

  /**
   * @throws NodeUnreachableError when nothing answers within the time-out (NodeFullError: it takes no more clients),
   *   AuthenticationError, TlsError
   */
  static async open(address: Address, options: LinkOptions = {}): Promise<NodeLink> {
    const tls = tlsOf(options)
    const endpoint = endpointOf(
      { ...address, hostname: tls && hostnameOf(tls, address) },
      { natMap: options.natMap ?? {}, tls, preferNames: false },
    )
    try {
      return await NodeLink.#openAt(endpoint, address, options)
    } catch (error) {
      const { otherHost: host } = endpoint
      if (host === undefined || !isUnresolved((error as Error).cause)) throw error
      return await NodeLink.#openAt({ ...endpoint, host }, address, options)
    }
  }

  static async #openAt(endpoint: Endpoint, address: Address, options: LinkOptions): Promise<NodeLink> {
    const { timeoutMs = DEFAULT_TIMEOUT_MS, mayCall = () => {}, fence } = options
    const tls = tlsFor(endpoint, tlsOf(options))
    const place = { host: endpoint.host, port: endpoint.port }
    const dialled = dial({
      address: place,
      tls,
      redis: {
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
      },
    })
    const { redis } = dialled
    const party = { address: place, tls, timeoutMs }
    const link = new NodeLink(address, dialled, party, tlsOf(options), mayCall, fence)
    try {
      await tellingTls(link.party, async () => {
        try {
          await redis.connect()
          await logIn(redis, options)
        } catch (error) {
          const because = link.#broke ?? withoutCommand(error as Error)
          throw connectTrouble(nameOf(address), because, dialled.firstWords())
        }
      })
    } catch (error) {
      redis.disconnect()
      const reason = explain(address, error)
      if (reason instanceof TooManyClientsError) throw full(address, dialled.firstWords())
      throw reason instanceof ShardqError ? reason : unreachable(address, reason)
    }
    try {
      await link.#enter(options)
    } catch (error) {
      link.close()
      throw error
    }
    return link
  }

  async #enter(options: LinkOptions): Promise<void> {
    if (this.fence === undefined) return
    const name = this.fence.nameNext()
    await this.text('CLIENT', 'SETNAME', name)
    this.#name = name
    await this.fence.enter(this.address, options)
  }

  /** Whether it was closed by our own fence, since it did not answer in time: another one may be opened in its place. */
  get isFenced(): boolean {
    return this.#isLate && this.#redis.status === 'end'
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
    this.mayCall()
    const answer = await this.#answer(command, this.#redis.call(command, ...args))
    if (this.tls && command === 'CLUSTER' && args[0] === 'NODES') learnHostnames(this.tls, String(answer))
    return answer
  }

  /** As `reply`, texts as the bytes that they are: names and values of other people's keys need not be UTF-8. */
  async bytes(command: string, ...args: (string | number | Buffer)[]): Promise<unknown> {
    this.mayCall()
    return this.#answer(command, this.#redis.callBuffer(command, ...args))
  }

  /** When the certificate that the node has shown runs out, in ms since 1970; undefined without TLS. */
  get certificateEndsMs(): number | undefined {
    if (this.party.tls === undefined) return undefined
    const { valid_to } = (this.#redis.stream as TLSSocket).getPeerCertificate()
    return valid_to === undefined ? undefined : Date.parse(valid_to)
  }

  close(): void {
    this.#redis.disconnect()
  }

  async #answer(command: string, reply: Promise<unknown>): Promise<unknown> {
    const turn = ++this.#sent
    try {
      const answer = await reply
      this.#answered = true
      this.#hear(turn)
      return answer
    } catch (error) {
      if ((error as Error).name === 'ReplyError') this.#hear(turn)
      else this.#giveUp(turn, (error as Error).message === TIMED_OUT)
      throw await this.#explained(command, withoutCommand(error as Error))
    }
  }

  #giveUp(turn: number, isLate: boolean): void {
    this.#isLate ||= isLate
    this.#unanswered = Math.max(this.#unanswered, turn)
    if (this.#name !== '') this.fence?.unanswered(this.address, this.#name)
  }

  /** Answers come in the order of the questions. */
  #hear(turn: number): void {
    if (this.#unanswered === 0 || turn < this.#unanswered) return
    this.#unanswered = 0
    this.#isLate = false
    if (this.#name !== '') this.fence?.answered(this.address, this.#name)
  }

  /** A server refuses a client certificate, or one who does not speak TLS, only after the connection has come about. */
  async #explained(command: string, error: Error): Promise<Error> {
    const broke = this.#broke ?? error
    const fault = this.#answered ? undefined : await tlsBehind(this.#asked, broke)
    if (fault) return fault
    const told = explain(this.address, error)
    if (told instanceof ShardqError) return told
    const name = nameOf(this.address)
    const words = await this.#firstWords(broke)
    // And one client too many, too.
    const refused = words === '' ? broke : connectTrouble(name, broke, words)
    if (refused instanceof TooManyClientsError) return full(this.address, words)
    if (error.name === 'ReplyError') return Object.assign(told, { node: name, refused: command })
    const cause = words === '' ? lostTrouble(name, command, broke) : refused
    return new ConnectionLostError(name, { cause })
  }

  get #asked(): Party {
    return { ...this.party, timeoutMs: Math.min(this.party.timeoutMs, WHY_MS) }
  }

  /**
   * What a server said of itself before it hung up on us; '' where it has answered before. Our command may have met the closed
   * connection before these words were read: then one who says nothing is told them again.
   */
  async #firstWords(broke: NodeJS.ErrnoException): Promise<string> {
    if (this.#answered) return ''
    const words = this.dialled.firstWords()
    const isBreak =
      broke.code === 'ECONNRESET' || broke.code === 'EPIPE' || broke.message === 'Connection is closed.'
    if (words !== '' || !isBreak || this.party.tls !== undefined) return words
    return wordsOnArrival(this.party.address, this.#asked.timeoutMs)
  }
}

/** @throws the server's refusal */
async function logIn(redis: Redis, { username, password, otherPassword }: LinkOptions): Promise<void> {
  try {
    await authenticate(redis, username, password)
  } catch (error) {
    if (otherPassword === undefined || !(error as Error).message.startsWith('WRONGPASS')) throw error
    await authenticate(redis, username, otherPassword)
  }
}

const unreachable = (address: Address, cause: Error) => new NodeUnreachableError(nameOf(address), { cause })

/** `words`: what the server said before it hung up. */
const full = (address: Address, words: string) =>
  new NodeFullError(nameOf(address), words.replace(/^-/, '').split('\r\n')[0] ?? words)

/** The one place where this library reads what ioredis or the server says of a failure. */
function explain(address: Address, error: unknown): Error {
  const known = error instanceof Error ? error : new Error(String(error))
  if (isRefusal(known)) return refusalOf(nameOf(address), known)
  if (known.message.startsWith('ERR max number of clients')) return full(address, known.message)
  return known.message === TIMED_OUT ? unreachable(address, known) : known
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
