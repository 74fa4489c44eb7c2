import type { Node } from './node.js'
import type { ReplicaStates } from './replica-states.js'
import type { Command } from './socket.js'

/** How many of a master's in-sync replicas have to confirm: all, more than half, or so many (all, if there are fewer). */
export type ConfirmBy = 'all' | 'majority' | number

export interface ConfirmationOptions {
  readonly mode: 'cluster' | 'single'
  readonly durability: 'async' | 'replicated' | 'fsynced'
  readonly confirm: ConfirmBy
  readonly minReplicas: number
  /** Ms for up to FREE_BYTES. */
  readonly timeoutMs: number
  /** Most ms, whatever the size. */
  readonly longestMs: number
}

/** Sent behind writes on the same socket, to learn that they are safe. */
export interface Question {
  readonly command: Command
  /** Most ms that the server takes to answer it. */
  readonly timeoutMs: number
  /** By the number that was asked for, and by what is known when the reply has come: the larger one holds. */
  satisfiedBy(reply: unknown): boolean
}

/** Bytes that a replica is expected to have within the time-out for small batches, and its pace for what is beyond. */
const FREE_BYTES = 1024 * 1024
const BYTES_PER_MS = 4_000

/** undefined: the master's word is enough. */
export function confirmationFor(
  replicas: Pick<ReplicaStates, 'of' | 'look'>,
  options: ConfirmationOptions,
): Confirmation | undefined {
  return options.durability === 'async' ? undefined : new Confirmation(replicas, options, options.minReplicas)
}

/**
 * When a write is safe on a node: who has to confirm it, within which time. Counted are the replicas that the cluster lists
 * and has not given up, as Kafka's in-sync set, less those that are still receiving their first copy (replica-states.ts). One
 * that is silent counts: it may be promoted by the side of a partition that we do not see.
 */
export class Confirmation {
  constructor(
    private readonly replicas: Pick<ReplicaStates, 'of' | 'look'>,
    private readonly options: ConfirmationOptions,
    private readonly least: number,
  ) {}

  /**
   * For what a master has done already, such as a completion: where no replica is in sync nothing can be promoted that does not
   * know it, so its word is enough.
   */
  past(): Confirmation {
    // Of a single server nobody tells which replicas it has.
    return this.options.mode === 'single' ? this : new Confirmation(this.replicas, this.options, 0)
  }

  /** So many replicas have to confirm what is written on this node now. */
  required(node: Node): number {
    const { mode, durability, confirm } = this.options
    if (mode === 'single') {
      if (durability === 'fsynced') return 0
      return Math.max(this.least, typeof confirm === 'number' ? confirm : 1)
    }
    const { counted, syncing, foreign } = this.replicas.of(node)
    const inSync = counted.length - syncing.length
    const wanted = Math.max(this.least, requiredOf(confirm, inSync))
    // WAIT does not tell who has confirmed.
    return wanted === 0 ? 0 : wanted + foreign
  }

  /** Why the node has too few replicas for what the queue asks; undefined: it has enough. */
  shortfallOf(node: Node): string | undefined {
    if (this.options.mode === 'single') return undefined
    const { counted, syncing } = this.replicas.of(node)
    if (counted.length - syncing.length >= this.least) return undefined
    const wanted = this.least === 1 ? '' : `, and minReplicas is ${this.least}`
    const first = syncing[0]
    if (first) return `${first.name}, replica of ${node.name}, is still receiving its first copy${wanted}`
    if (counted.length === 0) return `the cluster counts no replica of ${node.name}${wanted}`
    return `the cluster counts ${counted.length} ${replica(counted.length)} of ${node.name}${wanted}`
  }

  /** In words: what did not come in time. */
  unconfirmedBy(node: Node, bytes = 0): string {
    const required = this.required(node)
    const who = required > 1 ? `fewer than ${required} replicas` : 'no replica'
    return `${who} of ${node.name} confirmed within ${this.timeoutMsFor(bytes)} ms`
  }

  /** Ms that replicas are given for so many bytes, which travel together. */
  timeoutMsFor(bytes: number): number {
    const { timeoutMs, longestMs } = this.options
    const moreMs = Math.ceil(Math.max(0, bytes - FREE_BYTES) / BYTES_PER_MS)
    return Math.max(timeoutMs, Math.min(timeoutMs + moreMs, longestMs))
  }

  /** To be sent behind writes of so many bytes. */
  ask(node: Node, bytes = 0): Question {
    const asked = this.required(node)
    const timeoutMs = this.timeoutMsFor(bytes)
    const required = () => Math.max(asked, this.required(node))
    if (this.options.durability === 'fsynced') {
      return {
        command: ['WAITAOF', 1, asked, timeoutMs],
        timeoutMs,
        satisfiedBy: (reply) => Array.isArray(reply) && reply[0] >= 1 && reply[1] >= required(),
      }
    }
    return {
      command: ['WAIT', asked, timeoutMs],
      timeoutMs,
      satisfiedBy: (reply) => typeof reply === 'number' && reply >= required(),
    }
  }

  /** Learns why a node did not confirm, for the next time. Never rejects. */
  look(node: Node): Promise<void> {
    return this.options.mode === 'single' ? Promise.resolve() : this.replicas.look(node)
  }
}

function requiredOf(confirm: ConfirmBy, inSync: number): number {
  if (confirm === 'all' || inSync === 0) return inSync
  if (confirm === 'majority') return Math.floor(inSync / 2) + 1
  return Math.min(confirm, inSync)
}

const replica = (count: number) => (count === 1 ? 'replica' : 'replicas')
