import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { type Redis, Command as RedisCommand } from 'ioredis'
import { PasswordNotNeededError } from '../errors.js'
import { type Dialled, dial } from './dial.js'
import { type Endpoint, isUnresolved, tlsFor } from './endpoint.js'
import { authCommand, isNotNeeded } from './handshake.js'
import { type Hearing, hasMoved, isUnsent, unsentOf } from './hearing.js'
import { addressText } from './host.js'
import { type Fault, faultOfReply, withoutCommand } from './replies.js'
import { tellingTls, tlsErrorOf } from './tls-fault.js'
import { connectTrouble, lostTrouble } from './trouble.js'

/**
 * Longest that a call may take whose request or reply goes on arriving, in ms. So a reply of 256 MiB passes a link of 4.5 MB/s, and
 * a server that sends a byte now and then holds nobody up for longer.
 */
export const LONGEST_CALL_MS = 60_000
/** While a request is leaving, how often in a time-out it is looked whether it still is. */
const LOOKS_PER_TIMEOUT = 8

export type Command = readonly [name: string, ...args: (string | number | Buffer)[]]

/** Replies in the order of the commands; an error reply is an Error in its place. */
export type Replies =
  | { readonly ok: true; readonly replies: unknown[] }
  | { readonly ok: false; readonly fault: Fault }

export interface SocketOptions {
  readonly address: Endpoint
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsOptions | undefined
  readonly connectTimeoutMs: number
  /** Say READONLY first, so that a replica serves reads. Default false. */
  readonly readOnly?: boolean
  /** Told of what is odd, and keeps nothing from working. */
  readonly onNotice?: (notice: Error) => void
}

/**
 * One socket to one node. It never queues, never resends and never reconnects behind our back: whether a command
 * may be sent again, and where, is for the protocol above to decide. A closed socket is opened by the next call.
 */
export class NodeSocket {
  #redis: Redis | undefined
  #opening: Promise<Redis> | undefined
  #lastError: Error | undefined
  /** A call on it was given up, and with it all others. */
  #gaveUp: Error | undefined
  /** When something arrived on this socket last, performance.now(). */
  #heardAtMs = 0
  #patienceMs = 0

  constructor(
    private readonly options: SocketOptions,
    private readonly onOpen: (redis: Redis) => void = () => {},
    /** It was open and ended, and not by `close`. */
    private readonly onClose: () => void = () => {},
    private readonly hearing: Hearing = { heardAtMs: 0 },
  ) {}

  /** Whether commands can be sent without connecting first. */
  get isOpen(): boolean {
    return this.#redis?.status === 'ready' && this.#opening === undefined
  }

  /** The longest time-out of what was sent on it: what is sent behind such a call may have to wait for as long. */
  get patienceMs(): number {
    return this.#patienceMs
  }

  /**
   * Sends the commands as one write and waits for all replies. When nothing has arrived on this socket for `timeoutMs`, and
   * nothing of the request has left, the socket is closed, so that a late reply cannot be taken for another command's. A
   * reply that goes on arriving is waited for, up to LONGEST_CALL_MS.
   */
  async send(commands: readonly Command[], timeoutMs: number): Promise<Replies> {
    let redis: Redis
    try {
      redis = await this.open()
    } catch (error) {
      const denied = faultOfReply(error as Error)
      return {
        ok: false,
        fault: denied.kind === 'denied' ? denied : { kind: 'unreachable', error: error as Error },
      }
    }
    this.#patienceMs = Math.max(this.#patienceMs, timeoutMs)
    return new Promise((resolve) => {
      let over = false
      const lost = (error: Error) => {
        over = true
        clearTimeout(timer)
        if (this.#gaveUp) resolve({ ok: false, fault: { kind: 'timeout', error: this.#gaveUp } })
        else resolve({ ok: false, fault: { kind: 'lost', error: this.#lost(commands, error) } })
      }
      writeTogether(redis, commands).then((replies) => {
        over = true
        clearTimeout(timer)
        const broken = replies.find((reply): reply is Error => reply instanceof Error && !isReply(reply))
        if (broken) lost(broken)
        else resolve({ ok: true, replies })
      }, lost)

      // From here on: to write 100 MB may itself take longer than a time-out.
      const startedMs = performance.now()
      let movedAtMs = startedMs
      let unsent = unsentOf(redis.stream)
      const check = () => {
        if (over) return
        const nowMs = performance.now()
        const now = unsentOf(redis.stream)
        if (hasMoved(unsent, now)) movedAtMs = nowMs
        unsent = now
        movedAtMs = Math.max(movedAtMs, this.#heardAtMs)
        const endMs = Math.min(movedAtMs + timeoutMs, startedMs + Math.max(timeoutMs, LONGEST_CALL_MS))
        if (endMs > nowMs) {
          wait(endMs - nowMs)
          return
        }
        over = true
        const error = new Error(`no reply from ${this.name} within ${timeoutMs} ms`)
        resolve({ ok: false, fault: { kind: 'timeout', error } })
        if (this.#redis === redis) this.#giveUp(error)
      }
      let timer: NodeJS.Timeout
      // In a process that stood still itself, the timer comes before the replies that have arrived meanwhile: what can be
      // read now is read first.
      const wait = (ms: number) => {
        const soonest = isUnsent(unsent) ? Math.min(ms, timeoutMs / LOOKS_PER_TIMEOUT) : ms
        timer = setTimeout(() => setImmediate(check), soonest)
      }
      wait(timeoutMs)
    })
  }

  get name(): string {
    return addressText(this.options.address)
  }

  /** The open connection; also for a subscriber. */
  async open(): Promise<Redis> {
    return this.#redis && this.isOpen ? this.#redis : this.#open()
  }

  close(): void {
    if (this.#redis) hangUp(this.#redis)
    this.#redis = undefined
  }

  /** What else is under way on it was sent, too, and is not answered in time either. */
  #giveUp(error: Error): void {
    this.#gaveUp = error
    this.close()
  }

  #lost(commands: readonly Command[], error: Error): Error {
    const because = this.#lastError ?? error
    return tlsErrorOf(this.name, because) ?? lostTrouble(this.name, commands[0]?.[0] ?? 'a command', because)
  }

  #open(): Promise<Redis> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Redis> {
    const { host, otherHost } = this.options.address
    const deadlineMs = performance.now() + this.options.connectTimeoutMs
    try {
      return await this.#connectTo(host, deadlineMs)
    } catch (error) {
      if (otherHost === undefined || !isUnresolved(error)) throw error
      return await this.#connectTo(otherHost, deadlineMs)
    }
  }

  async #connectTo(host: string, deadlineMs: number): Promise<Redis> {
    const { address, connectTimeoutMs } = this.options
    const leftMs = Math.max(1, Math.ceil(deadlineMs - performance.now()))
    const tls = tlsFor(address, this.options.tls)
    const place = { host, port: address.port }
    this.close()
    this.#lastError = undefined
    this.#gaveUp = undefined
    const dialled = dial({
      address: place,
      tls,
      onData: () => {
        this.#heardAtMs = performance.now()
        this.hearing.heardAtMs = this.#heardAtMs
      },
      // Credentials are sent by us, below: ioredis says nothing of what comes after they were refused, and prints to the
      // console where none are needed.
      redis: {
        lazyConnect: true,
        enableReadyCheck: false,
        enableOfflineQueue: false,
        autoResubscribe: false,
        autoResendUnfulfilledCommands: false,
        disableClientInfo: true,
        // Ours comes first, and is told from other failures.
        connectTimeout: leftMs + 1_000,
        retryStrategy: null,
      },
    })
    const { redis } = dialled
    this.#redis = redis
    redis.on('error', (error: Error) => {
      // What comes first is the reason, and what follows mostly its consequence.
      if (this.#redis === redis) this.#lastError ??= withoutCommand(error)
    })
    let opened = false
    redis.once('end', () => {
      if (this.#redis !== redis) return
      this.#redis = undefined
      if (opened) this.onClose()
    })
    // A frozen server accepts the connection and never answers the handshake.
    let timer: NodeJS.Timeout | undefined
    try {
      const slow = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => setImmediate(() => reject(new ConnectTimeout(this.name, connectTimeoutMs))),
          leftMs,
        )
      })
      await tellingTls({ address: place, tls, timeoutMs: leftMs }, () =>
        Promise.race([this.#greet(dialled), slow]).catch((error: Error) => {
          const because = error instanceof ConnectTimeout ? error : (this.#lastError ?? withoutCommand(error))
          throw tlsErrorOf(this.name, because) ?? connectTrouble(this.name, because, dialled.firstWords())
        }),
      )
    } catch (error) {
      if (this.#redis === redis) this.#redis = undefined
      hangUp(redis)
      throw error
    } finally {
      clearTimeout(timer)
    }
    dialled.trust()
    opened = true
    this.onOpen(redis)
    return redis
  }

  /** Nothing of the caller's is sent before this is over. What is sent behind AUTH needs no rights to be refused. */
  async #greet({ redis }: Dialled): Promise<void> {
    await redis.connect()
    const { username, password, readOnly } = this.options
    const known = username !== undefined || password !== undefined
    const replies = await writeTogether(redis, [
      ...(known ? [authCommand(username, password)] : []),
      ['CLIENT', 'SETNAME', 'shardq'],
      ...(readOnly ? [['READONLY'] as const] : []),
    ])
    const broken = replies.find((reply): reply is Error => reply instanceof Error && !isReply(reply))
    if (broken) throw broken
    const [first] = replies
    if (!(first instanceof Error)) return
    if (/max number of clients/i.test(first.message)) throw first
    if (!known) {
      // A server that wants a password, and got none, takes longer commands for an attack, and hangs up without a NOAUTH.
      if (first.message.startsWith('NOAUTH')) throw first
      return
    }
    if (!isNotNeeded(first)) throw first
    this.options.onNotice?.(new PasswordNotNeededError(this.name))
  }
}

/** No connection in time. */
export class ConnectTimeout extends Error {
  constructor(node: string, timeoutMs: number) {
    super(`no connection to ${node} within ${timeoutMs} ms`)
  }
}

/**
 * Sends commands in one write; an error is a reply like others. ioredis only keeps account of them: as its pipeline would send
 * them, a lone task would wait for the objects that it makes, and large arguments would be copied again and again.
 */
function writeTogether(redis: Redis, commands: readonly Command[]): Promise<unknown[]> {
  let taken = 0
  const counter = { isPipeline: true as const, destination: { redis }, write: () => taken++ }
  const replies = commands.map(([name]) => {
    const command = new RedisCommand(name, [], { replyEncoding: 'utf8' })
    redis.sendCommand(command, counter)
    return command.promise.catch((error: unknown) => error)
  })
  // Of a stream that has ended, it has refused all.
  if (taken === commands.length) writeParts(redis.stream, commands)
  return Promise.all(replies)
}

/** The commands as RESP 2 has them (https://redis.io/docs/latest/develop/reference/protocol-spec/); buffers are not copied. */
function writeParts(stream: Redis['stream'], commands: readonly Command[]): void {
  let text = ''
  let corked = false
  for (const command of commands) {
    text += `*${command.length}\r\n`
    for (const part of command) {
      if (part instanceof Buffer) {
        if (!corked) stream.cork()
        corked = true
        stream.write(`${text}$${part.length}\r\n`)
        stream.write(part)
        text = '\r\n'
      } else {
        text += `$${Buffer.byteLength(String(part))}\r\n${part}\r\n`
      }
    }
  }
  stream.write(text)
  if (corked) stream.uncork()
}

/** On a stream that has ended, ioredis' disconnect() would leave a timer of 2 s behind. */
function hangUp(redis: Redis): void {
  if (redis.status !== 'end' && redis.status !== 'close') redis.disconnect()
}

/** Whether the server said it; anything else comes from the client or the network. */
function isReply(error: Error): boolean {
  return error.name === 'ReplyError'
}
