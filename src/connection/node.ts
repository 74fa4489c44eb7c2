import type { Redis } from 'ioredis'
import type { Confirmation } from './confirmation.js'
import { type ConfirmedReplies, Convoy } from './convoy.js'
import type { Endpoint } from './endpoint.js'
import type { Hearing } from './hearing.js'
import { addressText } from './host.js'
import type { Fault } from './replies.js'
import { type Command, ConnectTimeout, NodeSocket, type Replies, type SocketOptions } from './socket.js'

/**
 * What a socket is for. WAIT holds the whole socket, so enqueues that are confirmed (`produce`) and confirmations of what
 * was done before (`confirm`) have theirs; `write` is for enqueues that wait for nobody, and for taking copies back.
 * Inspection may be slow. None must hold up consumers, nor any of them the probes that tell whether the node lives.
 */
export type Lane = 'probe' | 'produce' | 'write' | 'consume' | 'confirm' | 'inspect' | 'read'

export interface NodeCounters {
  commands: number
  redirects: number
  timeouts: number
  lost: number
}

/**
 * A node whose call was not answered in time has been silent if nothing was heard from it, on any of its sockets, for this part of
 * the time-out. Not for all of it: what had been sent just before it froze is judged by the same rule.
 */
const SILENT_PART = 0.75
/** Lanes on which nothing waits for a replica come first: there a question is answered at once. */
const ASK_ON: readonly Lane[] = ['probe', 'inspect', 'consume', 'write', 'read', 'produce', 'confirm']

/**
 * One Redis server as we see it: its sockets, and whether it counts as alive. It is down when it is silent: a call was not
 * answered in time, and nothing was heard on any of its sockets; or when a connection breaks, or cannot be made, and no other
 * socket of it answers. While it is down every call but a probe fails at once, which is what lets producers go elsewhere
 * without waiting. A probe that is answered, by the node that is meant, marks it up.
 */
export class Node {
  readonly name: string
  readonly counters: NodeCounters = { commands: 0, redirects: 0, timeouts: 0, lost: 0 }
  #generation = 0
  #up = true
  /** How often it has gone down. */
  #falls = 0
  #stopped = false
  #lastFault: Fault | undefined
  readonly #hearing: Hearing = { heardAtMs: 0 }
  /** It is being asked whether it lives. */
  #verifying = false
  readonly #sockets = new Map<string, { readonly lane: Lane; readonly socket: NodeSocket }>()
  readonly #convoys = new Map<string, Convoy>()

  constructor(
    private endpoint: Endpoint,
    private readonly socketOptions: Omit<SocketOptions, 'address'>,
    private readonly onStateChange: (node: Node) => void,
  ) {
    this.name = addressText(endpoint)
  }

  /** Where it is reached; under the same name it may have another address by now. */
  get address(): Endpoint {
    return this.endpoint
  }

  set address(endpoint: Endpoint) {
    this.endpoint = endpoint
  }

  get up(): boolean {
    return this.#up
  }

  /** Another one after each break with the server: it may have been restarted meanwhile. */
  get generation(): number {
    return this.#generation
  }

  /** Why calls to it fail at once; undefined while it is up. */
  get downBecause(): Fault | undefined {
    if (this.#up && !this.#stopped) return undefined
    const because = this.#stopped ? 'the queue is disconnected' : this.#lastFault?.error.message
    return {
      kind: 'unreachable',
      error: new Error(`${this.name} is down: ${because ?? 'it does not answer'}`),
    }
  }

  async send(lane: Lane, index: number, commands: readonly Command[], timeoutMs: number): Promise<Replies> {
    const fault = this.downBecause
    if (fault && (lane !== 'probe' || this.#stopped)) return { ok: false, fault }
    this.counters.commands += commands.length
    const falls = this.#falls
    const outcome = await this.#socket(lane, index).send(commands, timeoutMs)
    if (!outcome.ok) this.#note(outcome.fault, falls, timeoutMs)
    return outcome
  }

  /** It has answered a probe, as the node that is meant. */
  markUp(): void {
    this.#setUp(true)
  }

  /** Somebody else answers at its address. What is on its sockets is not ours. */
  markStranger(): void {
    this.#lastFault = { kind: 'unreachable', error: new Error('a node of another cluster answers there') }
    if (this.#up) this.#generation++
    this.#setUp(false)
  }

  /** As `send`, and learns whether what was written is confirmed (see convoy.ts). */
  sendConfirmed(
    lane: Lane,
    index: number,
    commands: readonly Command[],
    confirmation: Confirmation,
    timeoutMs: number,
  ): Promise<ConfirmedReplies> {
    const key = `${lane}${index}`
    let convoy = this.#convoys.get(key)
    if (!convoy) {
      convoy = new Convoy(
        this,
        (all, waitMs) => this.send(lane, index, all, timeoutMs + waitMs),
        confirmation,
      )
      this.#convoys.set(key, convoy)
    }
    return convoy.add(commands)
  }

  /** A socket of the caller's own, for a subscription; the caller closes it. */
  openSocket(onOpen: (redis: Redis) => void, onClose: () => void): NodeSocket {
    return new NodeSocket({ ...this.socketOptions, address: this.address }, onOpen, onClose, this.#hearing)
  }

  /** Closes it for good: nothing is sent any more. */
  stop(): void {
    this.#stopped = true
    this.#close()
  }

  #close(): void {
    for (const { socket } of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  /** `falls`: how often it had gone down when the call was sent. */
  #note(fault: Fault, falls: number, timeoutMs: number): void {
    if (fault.kind === 'timeout') this.counters.timeouts++
    if (fault.kind === 'lost') this.counters.lost++
    // What was sent before it went down the last time says nothing of a node that has answered since.
    if (this.#up && falls !== this.#falls) return
    switch (fault.kind) {
      case 'timeout':
        this.#judge(fault, timeoutMs)
        return
      case 'lost':
        // It may have been restarted.
        this.#generation++
        this.#verify(fault, timeoutMs)
        return
      case 'unreachable':
        // A frozen server takes connections, and is silent on them.
        if (fault.error instanceof ConnectTimeout) this.#judge(fault, this.socketOptions.connectTimeoutMs)
        else this.#verify(fault, timeoutMs)
        return
    }
  }

  /** A time-out is no proof while something is heard from the node: the link may be full, or one socket broken. */
  #judge(fault: Fault, timeoutMs: number): void {
    const silentMs = performance.now() - this.#hearing.heardAtMs
    if (silentMs >= timeoutMs * SILENT_PART) this.#fall(fault)
    // Heard until a moment ago: it is known as soon as it would be if the call had been sent just then. Where no socket is
    // open to ask on, the probe tells, which whoever gave up the call has asked for.
    else if (this.#openSocket())
      this.#verify(fault, Math.max(timeoutMs - silentMs, timeoutMs * (1 - SILENT_PART)))
  }

  /**
   * That a connection breaks, or that one more is refused, is no proof while the others stand: where the server takes no more
   * clients, whoever closed them would have none. So it is asked on one of these; if it has died, they are at their end too.
   */
  #verify(fault: Fault, timeoutMs: number): void {
    if (!this.#up) this.#fall(fault)
    else if (!this.#verifying) void this.#askIfAlive(fault, timeoutMs)
  }

  async #askIfAlive(fault: Fault, timeoutMs: number): Promise<void> {
    this.#verifying = true
    const falls = this.#falls
    // Each of them once: one that has ended may not know it yet.
    const tried = new Set<NodeSocket>()
    let reason: Fault | undefined = fault
    while (reason) {
      const socket = this.#openSocket(tried)
      if (!socket) break
      tried.add(socket)
      const outcome = await socket.send([['PING']], Math.max(timeoutMs, socket.patienceMs))
      if (outcome.ok || falls !== this.#falls || this.#stopped) reason = undefined
      else if (outcome.fault.kind === 'timeout') {
        // Something else was heard meanwhile, or it is silent.
        const silentMs = performance.now() - this.#hearing.heardAtMs
        reason = silentMs >= timeoutMs * SILENT_PART ? outcome.fault : undefined
        break
      }
    }
    this.#verifying = false
    if (reason) this.#fall(reason)
  }

  #openSocket(tried: ReadonlySet<NodeSocket> = new Set()): NodeSocket | undefined {
    const open = [...this.#sockets.values()].filter(({ socket }) => socket.isOpen && !tried.has(socket))
    return open.sort((a, b) => ASK_ON.indexOf(a.lane) - ASK_ON.indexOf(b.lane))[0]?.socket
  }

  #fall(fault: Fault): void {
    this.#lastFault = fault
    this.#generation++
    this.#setUp(false)
  }

  /** A socket that nobody was waiting on has ended: no proof that the node is down, but reason to look. */
  #broken(): void {
    this.#generation++
    this.onStateChange(this)
  }

  #setUp(up: boolean): void {
    if (this.#up === up) return
    this.#up = up
    // The other sockets of a dead node would each need their own time-out to find out.
    if (!up) {
      this.#falls++
      this.#close()
    }
    this.onStateChange(this)
  }

  #socket(lane: Lane, index: number): NodeSocket {
    const key = `${lane}${index}`
    let socket = this.#sockets.get(key)?.socket
    if (!socket) {
      // A replica serves reads only to clients that said READONLY.
      const options = { ...this.socketOptions, address: this.address, readOnly: lane === 'read' }
      socket = new NodeSocket(
        options,
        () => {},
        () => this.#broken(),
        this.#hearing,
      )
      this.#sockets.set(key, { lane, socket })
    }
    return socket
  }
}
