import { parseInfo } from './info.js'
import type { Node } from './node.js'
import type { ReplicaStates } from './replica-states.js'
import type { Command, Replies } from './socket.js'

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
  readonly commands: readonly Command[]
  /** Most ms that the server takes to answer it. */
  readonly timeoutMs: number
  /** Another question: it is not certain yet who has confirmed; to be sent on the same socket. */
  judge(replies: readonly unknown[]): 'confirmed' | 'unconfirmed' | Question
}

/** Bytes that a replica is expected to have within the time-out for small batches, and its pace for what is beyond. */
const FREE_BYTES = 1024 * 1024
const BYTES_PER_MS = 4_000
/** WAIT's number is taken for a confirmation if a report of so many ms, when it comes, shows nobody else attached. */
const CERTAIN_MS = 1_000
/** A report is renewed behind the next write after so many ms, so that no reply meets one that is too old. */
const RENEW_MS = 250
/** Ms for one more replica to confirm, each time that those which have are not the ones that count. */
const ROUND_MS = 5
/** Least ms to learn who has confirmed, when enough have. */
const LEAST_PROOF_MS = 100

const INFO: Command = ['INFO', 'replication']

/** Of ReplicaStates, what a confirmation goes by. */
export type Replicas = Pick<
  ReplicaStates,
  | 'of'
  | 'look'
  | 'take'
  | 'exclusiveAtMs'
  | 'syncingOf'
  | 'othersThan'
  | 'acknowledged'
  | 'acknowledgedByOthers'
  | 'membersAttachedTo'
>

/** undefined: the master's word is enough. */
export function confirmationFor(replicas: Replicas, options: ConfirmationOptions): Confirmation | undefined {
  return options.durability === 'async' ? undefined : new Confirmation(replicas, options, options.minReplicas)
}

/**
 * When a write is safe on a node: who has to confirm it, within which time. Counted are the replicas that the cluster lists
 * and has not given up, as Kafka's in-sync set, less those that are still receiving their first copy (replica-states.ts). One
 * that is silent counts: it may be promoted by the side of a partition that we do not see.
 */
export class Confirmation {
  constructor(
    private readonly replicas: Replicas,
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
    const { counted, syncing } = this.replicas.of(node)
    const inSync = counted.length - syncing.length
    return Math.max(this.least, requiredOf(confirm, inSync))
  }

  /** No replica that the cluster counts could be promoted, so the master's word is enough. */
  needsNobody(node: Node): boolean {
    return this.options.mode === 'cluster' && this.least === 0 && this.replicas.of(node).counted.length === 0
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

  /**
   * To be sent behind writes of so many bytes. WAIT tells how many have confirmed, and not who. Its number is enough while a report
   * of the last second shows nobody attached but those that count. Else the master is asked on both sides of the WAIT: how far it had
   * come, and what each replica has acknowledged since.
   * @param prove to be asked in any case who it was
   */
  ask(node: Node, bytes = 0, prove = false): Question {
    const asked = this.required(node)
    const timeoutMs = this.timeoutMsFor(bytes)
    const single = this.options.mode === 'single'
    const counted = single ? [] : this.replicas.of(node).counted
    const startedMs = performance.now()
    if (!single && (prove || startedMs - this.replicas.exclusiveAtMs(node) > RENEW_MS)) {
      const number = asked === 0 ? 0 : asked + this.replicas.othersThan(node, counted)
      return this.#proof(node, {
        counted,
        asked,
        number,
        waitMs: timeoutMs,
        deadlineMs: startedMs + timeoutMs,
      })
    }
    return {
      commands: [this.#wait(asked, timeoutMs)],
      timeoutMs,
      judge: ([reply]) => {
        const confirmed = this.#numberIn(reply)
        const required = Math.max(asked, this.required(node))
        if (confirmed === undefined || confirmed < required) return 'unconfirmed'
        const nowMs = performance.now()
        if (single || nowMs - this.replicas.exclusiveAtMs(node) <= CERTAIN_MS) return 'confirmed'
        const deadlineMs = Math.max(startedMs + timeoutMs, nowMs + LEAST_PROOF_MS)
        return this.#proof(node, { counted, asked, number: confirmed + 1, waitMs: ROUND_MS, deadlineMs })
      },
    }
  }

  #proof(node: Node, proof: Proof): Question {
    const { counted, asked, number, waitMs, deadlineMs } = proof
    const wait = this.#wait(number, waitMs)
    const askedAtMs = performance.now()
    return {
      commands: proof.offset === undefined ? [INFO, wait, INFO] : [wait, INFO],
      timeoutMs: waitMs,
      judge: (replies) => {
        const offset = proof.offset ?? offsetIn(replies[0])
        const confirmed = this.#numberIn(replies.at(-2))
        const after = replies.at(-1)
        if (typeof after === 'string') this.replicas.take(node, after, askedAtMs)
        // A hosted server that lists no replicas, although some confirm, does not tell who they are.
        if (listsNone(replies[0]) && listsNone(after) && confirmed !== undefined)
          return confirmed >= asked && confirmed >= this.required(node) ? 'confirmed' : 'unconfirmed'
        if (typeof after !== 'string' || offset === undefined || confirmed === undefined) return 'unconfirmed'
        const now = this.replicas.of(node).counted
        if (this.#isProven(node, counted, confirmed, offset) && this.#isProven(node, now, confirmed, offset))
          return 'confirmed'
        const leftMs = Math.ceil(deadlineMs - performance.now())
        if (leftMs <= 0) return 'unconfirmed'
        const more = { number: confirmed + 1, waitMs: Math.min(ROUND_MS, leftMs), offset }
        return this.#proof(node, { counted, asked, deadlineMs, ...more })
      },
    }
  }

  /** By what the master has just said: enough of these replicas have acknowledged what it had written up to this offset. */
  #isProven(node: Node, counted: readonly Node[], confirmed: number, offset: number): boolean {
    const { replicas, options, least } = this
    const syncing = replicas.syncingOf(node, counted)
    const inSync = counted.filter((replica) => !syncing.includes(replica))
    const required = requiredOf(options.confirm, inSync.length)
    if (replicas.acknowledged(node, inSync, offset) < required) return false
    // The nodes of a cluster tell each other late whose replica one is; its master knows it first.
    const members = [...new Set([...inSync, ...replicas.membersAttachedTo(node)])]
    if (replicas.acknowledged(node, members, offset) < least) return false
    // Nobody tells what is on whose disk: anyone who has it in memory may be among those that were counted.
    const others = (those: readonly Node[]) =>
      options.durability === 'fsynced' ? replicas.acknowledgedByOthers(node, those, offset) : 0
    return confirmed - others(inSync) >= required && confirmed - others(members) >= least
  }

  #wait(number: number, timeoutMs: number): Command {
    return this.options.durability === 'fsynced'
      ? ['WAITAOF', 1, number, timeoutMs]
      : ['WAIT', number, timeoutMs]
  }

  /** undefined: it is no answer, or the master itself has not got it on its disk. */
  #numberIn(reply: unknown): number | undefined {
    if (this.options.durability !== 'fsynced') return typeof reply === 'number' ? reply : undefined
    return Array.isArray(reply) && reply[0] >= 1 ? reply[1] : undefined
  }

  /** Learns why a node did not confirm, for the next time. Never rejects. */
  look(node: Node): Promise<void> {
    return this.options.mode === 'single' ? Promise.resolve() : this.replicas.look(node)
  }
}

/** Who has to have confirmed what, and how it is found out. */
interface Proof {
  /** Replicas that counted when the write was sent. */
  readonly counted: readonly Node[]
  /** So many of them had to confirm it. */
  readonly asked: number
  /** So many are waited for now. */
  readonly number: number
  readonly waitMs: number
  readonly deadlineMs: number
  /** How far the master had come when the write was carried out; undefined: it is to be asked. */
  readonly offset?: number
}

/** Sends writes with a question behind them, and whatever more it takes to answer it. */
export async function sendAndAsk(
  commands: readonly Command[],
  question: Question,
  /** `waitMs`: what the server may take for the question, beside the time for the commands. */
  send: (commands: readonly Command[], waitMs: number) => Promise<Replies>,
): Promise<AskedReplies> {
  const first = await send([...commands, ...question.commands], question.timeoutMs)
  if (!first.ok) return first
  const replies = first.replies.slice(0, commands.length)
  let answers: readonly unknown[] = first.replies.slice(commands.length)
  let verdict = question.judge(answers)
  while (typeof verdict === 'object') {
    const next = await send(verdict.commands, verdict.timeoutMs)
    // The writes are carried out, whatever has become of the socket.
    if (!next.ok) return { ok: true, replies, answers, confirmed: false }
    answers = next.replies
    verdict = verdict.judge(answers)
  }
  return { ok: true, replies, answers, confirmed: verdict === 'confirmed' }
}

export type AskedReplies =
  | {
      readonly ok: true
      /** To the commands. */
      readonly replies: unknown[]
      /** To the last question. */
      readonly answers: readonly unknown[]
      readonly confirmed: boolean
    }
  | Extract<Replies, { ok: false }>

function listsNone(info: unknown): boolean {
  return typeof info === 'string' && !/^slave\d+:/m.test(info)
}

function offsetIn(info: unknown): number | undefined {
  if (typeof info !== 'string') return undefined
  const offset = parseInfo(info).get('master_repl_offset')
  return offset === undefined ? undefined : Number(offset)
}

function requiredOf(confirm: ConfirmBy, inSync: number): number {
  if (confirm === 'all' || inSync === 0) return inSync
  if (confirm === 'majority') return Math.floor(inSync / 2) + 1
  return Math.min(confirm, inSync)
}

const replica = (count: number) => (count === 1 ? 'replica' : 'replicas')
