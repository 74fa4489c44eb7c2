import type { Redis } from 'ioredis'
import type { Confirmation } from './confirmation.js'
import { type ConfirmedReplies, Convoy } from './convoy.js'
import type { NodeAddress } from './options.js'
import type { Fault } from './replies.js'
import { type Command, NodeSocket, type Replies, type SocketOptions } from './socket.js'

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
 * One Redis server as we see it: its sockets, and whether it counts as alive. Any call that finds it silent or
 * closed marks it down; while it is down every call but a probe fails at once, which is what lets producers go
 * elsewhere without waiting. A probe that is answered marks it up.
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
  readonly #sockets = new Map<string, NodeSocket>()
  readonly #convoys = new Map<string, Convoy>()

  constructor(
    readonly address: NodeAddress,
    private readonly socketOptions: Omit<SocketOptions, 'address'>,
    private readonly onStateChange: (node: Node) => void,
  ) {
    this.name = `${address.host}:${address.port}`
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
    if (outcome.ok) this.#setUp(true)
    else this.#note(outcome.fault, falls)
    return outcome
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
    return new NodeSocket({ ...this.socketOptions, address: this.address }, onOpen, onClose)
  }

  /** Closes it for good: nothing is sent any more. */
  stop(): void {
    this.#stopped = true
    this.#close()
  }

  #close(): void {
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  /** `falls`: how often it had gone down when the call was sent. */
  #note(fault: Fault, falls: number): void {
    if (fault.kind === 'timeout') this.counters.timeouts++
    if (fault.kind === 'lost') this.counters.lost++
    // What was sent before it went down the last time says nothing of a node that has answered since.
    if (this.#up && falls !== this.#falls) return
    if (fault.kind === 'timeout' || fault.kind === 'lost' || fault.kind === 'unreachable') {
      this.#lastFault = fault
      this.#generation++
      this.#setUp(false)
    }
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
    let socket = this.#sockets.get(key)
    if (!socket) {
      // A replica serves reads only to clients that said READONLY.
      const options = { ...this.socketOptions, address: this.address, readOnly: lane === 'read' }
      socket = new NodeSocket(
        options,
        () => {},
        () => this.#broken(),
      )
      this.#sockets.set(key, socket)
    }
    return socket
  }
}
