import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { Redis, Command as RedisCommand } from 'ioredis'
import type { NodeAddress } from './options.js'
import { type Fault, faultOfReply, withoutCommand } from './replies.js'
import { tellingTls, tlsErrorOf } from './tls-fault.js'

export type Command = readonly [name: string, ...args: (string | number | Buffer)[]]

/** Replies in the order of the commands; an error reply is an Error in its place. */
export type Replies =
  | { readonly ok: true; readonly replies: unknown[] }
  | { readonly ok: false; readonly fault: Fault }

export interface SocketOptions {
  readonly address: NodeAddress
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: TlsOptions | undefined
  readonly connectTimeoutMs: number
  /** Say READONLY first, so that a replica serves reads. Default false. */
  readonly readOnly?: boolean
}

/**
 * One socket to one node. It never queues, never resends and never reconnects behind our back: whether a command
 * may be sent again, and where, is for the protocol above to decide. A closed socket is opened by the next call.
 */
export class NodeSocket {
  #redis: Redis | undefined
  #opening: Promise<Redis> | undefined
  #lastError: Error | undefined

  constructor(
    private readonly options: SocketOptions,
    private readonly onOpen: (redis: Redis) => void = () => {},
    /** It was open and ended, and not by `close`. */
    private readonly onClose: () => void = () => {},
  ) {}

  /**
   * Sends the commands as one write and waits for all replies. After `timeoutMs` the socket is closed, so that a
   * late reply cannot be taken for another command's.
   */
  async send(commands: readonly Command[], timeoutMs: number): Promise<Replies> {
    let redis: Redis
    try {
      redis = this.#redis?.status === 'ready' ? this.#redis : await this.#open()
    } catch (error) {
      const denied = faultOfReply(error as Error)
      return {
        ok: false,
        fault: denied.kind === 'denied' ? denied : { kind: 'unreachable', error: error as Error },
      }
    }
    return new Promise((resolve) => {
      let over = false
      const giveUp = () => {
        if (over) return
        const error = new Error(`no reply from ${this.name} within ${timeoutMs} ms`)
        resolve({ ok: false, fault: { kind: 'timeout', error } })
        this.close()
      }
      // In a process that stood still itself, the timer comes before the replies that have arrived meanwhile: what can be
      // read now is read first.
      const timer = setTimeout(() => setImmediate(giveUp), timeoutMs)
      const lost = (error: Error) => {
        over = true
        clearTimeout(timer)
        const because = this.#lastError ?? error
        resolve({ ok: false, fault: { kind: 'lost', error: tlsErrorOf(this.name, because) ?? because } })
      }
      writeTogether(redis, commands).then((replies) => {
        over = true
        clearTimeout(timer)
        const broken = replies.find((reply): reply is Error => reply instanceof Error && !isReply(reply))
        if (broken) lost(broken)
        else resolve({ ok: true, replies })
      }, lost)
    })
  }

  get name(): string {
    return `${this.options.address.host}:${this.options.address.port}`
  }

  /** The open connection, for a subscriber. */
  async open(): Promise<Redis> {
    return this.#redis?.status === 'ready' ? this.#redis : this.#open()
  }

  close(): void {
    if (this.#redis) hangUp(this.#redis)
    this.#redis = undefined
  }

  #open(): Promise<Redis> {
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #connect(): Promise<Redis> {
    const { address, username, password, tls, connectTimeoutMs } = this.options
    this.close()
    this.#lastError = undefined
    const redis = new Redis({
      host: address.host,
      port: address.port,
      ...(username === undefined ? {} : { username }),
      ...(password === undefined ? {} : { password }),
      ...(tls === undefined ? {} : { tls }),
      readOnly: this.options.readOnly ?? false,
      protocol: 2,
      lazyConnect: true,
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      disableClientInfo: true,
      connectionName: 'shardq',
      connectTimeout: connectTimeoutMs,
      retryStrategy: null,
    })
    this.#redis = redis
    redis.on('error', (error: Error) => {
      this.#lastError = withoutCommand(error)
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
          () => reject(new Error(`no connection to ${this.name} within ${connectTimeoutMs} ms`)),
          connectTimeoutMs,
        )
      })
      await tellingTls({ address, tls, timeoutMs: connectTimeoutMs }, () =>
        Promise.race([redis.connect(), slow]).catch((error: Error) => {
          throw this.#lastError ?? withoutCommand(error)
        }),
      )
    } catch (error) {
      if (this.#redis === redis) this.#redis = undefined
      hangUp(redis)
      throw error
    } finally {
      clearTimeout(timer)
    }
    opened = true
    this.onOpen(redis)
    return redis
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
