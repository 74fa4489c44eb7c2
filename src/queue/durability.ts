import { type Confirmation, type Connection, sleep } from '../connection/connection.js'
import type { Lane, Node } from '../connection/node.js'
import { faultOfReply } from '../connection/replies.js'
import { NotReplicatedError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { refusalOf } from '../rights/refusal.js'
import type { ScriptCall } from '../scripts/script.js'
import { touch } from './touch.js'

/** Between two questions that more callers than this share, a pause of so many ms. */
const CROWD = 4
const GATHER_MS = 3
/** Ms before a replica that did not confirm is waited for again. */
const RETRY_MS = 50

/**
 * - `safe`: as safe as the queue's durability asks: its in-sync replicas have it, or there is none of this shard that could be
 *   promoted without it
 * - `late`: they have not confirmed by the deadline
 * - `broken`: the master no longer answers as such; what it carried out may be gone with it
 */
export type Safety = 'safe' | 'late' | 'broken'

export interface SafeCallOptions {
  readonly lane: Lane
  readonly timeoutMs: number
  /** Awaited before each try; `resent`: one before may have been carried out. */
  readonly before?: (resent: boolean) => Promise<void> | undefined
}

type Answer = 'confirmed' | 'not in time' | 'broken'

/**
 * Makes sure of what a master has carried out already: a write of our own with a WAIT behind it, on a socket of their
 * own, shared by all who ask meanwhile. A replica follows one stream, so the answer covers all that came before. So
 * calls that hand out tasks are never held up by a replica, and all acknowledgements of a node share one question.
 */
export class Durability {
  readonly #shared = new WeakMap<Node, SharedQuestion>()
  /** Nodes that did not permit the last question, and what they said. */
  readonly #denials = new WeakMap<Node, Error>()
  readonly #confirmation: Confirmation | undefined

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    /** Of the queue, to whose probe keys is written. */
    private readonly partitions: readonly Partition[],
    confirmation: Confirmation | undefined,
  ) {
    this.#confirmation = confirmation?.past()
  }

  /**
   * Waits until what `node` did for `partition` before this call is safe, at most until `deadlineMs`.
   * @param evenIfDenied whether to wait also for a right that the user lacks: it may be given in time
   */
  async ofPast(node: Node, partition: Partition, deadlineMs: number, evenIfDenied = true): Promise<Safety> {
    const confirmation = this.#confirmation
    if (!confirmation) return 'safe'
    let shared = this.#shared.get(node)
    if (!shared) {
      shared = new SharedQuestion((asked) => this.#ask(node, asked, confirmation))
      this.#shared.set(node, shared)
    }
    for (;;) {
      // A master that thaws after its replica was promoted has no replica either, and what it did is void.
      if (this.connection.topology.ownerOf(partition.slot) !== node) return 'broken'
      // No replica is there to be promoted in its place: then the master's word is the best there is.
      if (confirmation.needsNobody(node)) return 'safe'
      const answer = await shared.ask(partition)
      if (answer === 'confirmed') return 'safe'
      const hopeless = !evenIfDenied && this.#denials.has(node)
      if (answer === 'not in time' && (hopeless || performance.now() > deadlineMs)) return 'late'
      // Also when it is broken: whoever asked comes again.
      await Promise.all([sleep(RETRY_MS), confirmation.look(node)])
      if (answer === 'broken' || this.connection.stopped) return 'broken'
    }
  }

  /**
   * Sends a call that may be carried out twice, until what it did is safe. `resent`: an earlier try may have been
   * carried out too.
   * @throws NotReplicatedError when its replicas have not confirmed it within `timeoutMs`, and what Connection.call throws;
   *         NotPermittedError also when the user may not ask them
   */
  async call<Value>(
    partition: Partition,
    taskId: string,
    call: ScriptCall<Value>,
    options: SafeCallOptions,
  ): Promise<{ value: Value; resent: boolean }> {
    const { value, resent, confirmed } = await this.callUntilSafe(partition, call, options)
    if (!confirmed) throw notConfirmed(this.queue, taskId)
    return { value, resent }
  }

  /**
   * As `call`, for what concerns no single task: `confirmed` false when its master has carried it out, and its replicas have not
   * confirmed it within `timeoutMs`.
   */
  async callUntilSafe<Value>(
    partition: Partition,
    call: ScriptCall<Value>,
    options: SafeCallOptions,
  ): Promise<{ value: Value; resent: boolean; confirmed: boolean }> {
    const deadlineMs = performance.now() + options.timeoutMs
    let resent = false
    for (;;) {
      const timeoutMs = Math.max(0, deadlineMs - performance.now())
      const before = options.before && ((again: boolean) => options.before?.(resent || again))
      const done = await this.connection.call(this.queue, partition.slot, call, {
        lane: options.lane,
        timeoutMs,
        before,
      })
      resent ||= done.resent
      const safety = await this.ofPast(done.node, partition, deadlineMs, false)
      if (safety === 'safe') return { value: done.value, resent, confirmed: true }
      // That will be the same the next time.
      const denial = this.#denials.get(done.node)
      if (denial) throw refusalOf(done.node.name, denial)
      if (safety === 'late' || performance.now() > deadlineMs)
        return { value: done.value, resent, confirmed: false }
      resent = true
    }
  }

  async #ask(node: Node, partition: Partition, confirmation: Confirmation): Promise<Answer> {
    const question = confirmation.ask(node)
    const timeoutMs = this.connection.commandTimeoutMs
    const others = this.partitions.filter(
      (other) => other !== partition && this.connection.topology.ownerOf(other.slot) === node,
    )
    const options = { lane: 'confirm', socket: 0, timeoutMs } as const
    const outcome = await touch(node, [partition, ...others], question, options)
    if (!outcome.ok) return 'broken'
    const [touched] = outcome.replies
    const denial = [touched, ...outcome.answers].find(isDenial)
    if (denial) this.#denials.set(node, denial)
    else this.#denials.delete(node)
    if (touched instanceof Error) return passes(touched) ? 'not in time' : 'broken'
    return outcome.confirmed ? 'confirmed' : 'not in time'
  }
}

export function notConfirmed(queue: string, taskId: string): NotReplicatedError {
  return new NotReplicatedError(
    queue,
    taskId,
    'its master has carried the call out, and its replicas do not confirm it',
  )
}

/** Asks once for all who want to know: who asks while an answer is under way shares the next one. */
class SharedQuestion {
  #current: Promise<unknown> = Promise.resolve()
  #next: Promise<Answer> | undefined
  #asking = 0

  constructor(private readonly put: (asked: Partition) => Promise<Answer>) {}

  /** `partition`: any one of the node; the first that asks is written to. */
  ask(partition: Partition): Promise<Answer> {
    this.#asking++
    this.#next ??= this.#current.then(() => {
      this.#next = undefined
      const answer = this.put(partition)
      // Under load a pause gathers more of those who ask; one that is alone has its answer at once.
      this.#current = this.#asking > CROWD ? answer.then(() => sleep(GATHER_MS)) : answer
      this.#asking = 0
      return answer
    })
    return this.#next
  }
}

function isDenial(reply: unknown): reply is Error {
  return reply instanceof Error && faultOfReply(reply).kind === 'denied'
}

/** Refused, but by the master that we mean: it may be asked again. */
function passes(reply: Error): boolean {
  const { kind } = faultOfReply(reply)
  return (
    kind === 'busy' ||
    kind === 'tryagain' ||
    kind === 'ask' ||
    kind === 'misconf' ||
    kind === 'noreplicas' ||
    kind === 'oom'
  )
}
