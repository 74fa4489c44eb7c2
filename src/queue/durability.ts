import { type Confirmation, type Connection, sleep } from '../connection/connection.js'
import type { Lane, Node } from '../connection/node.js'
import { faultOfReply } from '../connection/replies.js'
import { NotReplicatedError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import type { ScriptCall } from '../scripts/script.js'
import { touch } from './touch.js'

/** Between two questions that more callers than this share, a pause of so many ms. */
const CROWD = 4
const GATHER_MS = 3
/** Ms before a replica that did not confirm is waited for again. */
const RETRY_MS = 50

/**
 * - `safe`: as safe as the queue's durability asks: a replica has it, or the cluster has no replica of this shard that
 *   could be promoted without it
 * - `late`: no replica has confirmed by the deadline
 * - `broken`: the master no longer answers as such; what it carried out may be gone with it
 */
export type Safety = 'safe' | 'late' | 'broken'

type Answer = 'confirmed' | 'not in time' | 'broken'

/**
 * Makes sure of what a master has carried out already: a write of our own with a WAIT behind it, on a socket of their
 * own, shared by all who ask meanwhile. A replica follows one stream, so the answer covers all that came before. So
 * calls that hand out tasks are never held up by a replica, and all acknowledgements of a node share one question.
 */
export class Durability {
  readonly #questions = new WeakMap<Node, Question>()

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly partitions: readonly Partition[],
    private readonly confirmation: Confirmation | undefined,
  ) {}

  /** Waits until what `node` did for `partition` before this call is safe, at most until `deadlineMs`. */
  async ofPast(node: Node, partition: Partition, deadlineMs: number): Promise<Safety> {
    const { confirmation } = this
    if (!confirmation) return 'safe'
    let question = this.#questions.get(node)
    if (!question) {
      question = new Question((asked) => this.#ask(node, asked, confirmation))
      this.#questions.set(node, question)
    }
    for (;;) {
      // A master that thaws after its replica was promoted has no replica either, and what it did is void.
      if (this.connection.topology.ownerOf(partition.slot) !== node) return 'broken'
      if (this.#alone(node)) return 'safe'
      const answer = await question.ask(partition)
      if (answer === 'confirmed') return 'safe'
      if (answer === 'not in time' && performance.now() > deadlineMs) return 'late'
      // Also when it is broken: whoever asked comes again.
      await sleep(RETRY_MS)
      if (answer === 'broken' || this.connection.stopped) return 'broken'
    }
  }

  /**
   * Sends a call that may be carried out twice, until what it did is safe. `resent`: an earlier try may have been
   * carried out too.
   * @throws NotReplicatedError when no replica has confirmed it within `timeoutMs`, and what Connection.call throws
   */
  async call<Value>(
    partition: Partition,
    taskId: string,
    call: ScriptCall<Value>,
    options: { readonly lane: Lane; readonly timeoutMs: number },
  ): Promise<{ value: Value; resent: boolean }> {
    const deadlineMs = performance.now() + options.timeoutMs
    let resent = false
    for (;;) {
      const timeoutMs = Math.max(0, deadlineMs - performance.now())
      const done = await this.connection.call(this.queue, partition.slot, call, { ...options, timeoutMs })
      resent ||= done.resent
      const safety = await this.ofPast(done.node, partition, deadlineMs)
      if (safety === 'safe') return { value: done.value, resent }
      if (safety === 'late' || performance.now() > deadlineMs) throw notConfirmed(this.queue, taskId)
      resent = true
    }
  }

  async #ask(node: Node, partition: Partition, confirmation: Confirmation): Promise<Answer> {
    const timeoutMs = this.connection.commandTimeoutMs + confirmation.timeoutMs
    const others = this.partitions.filter(
      (other) => other !== partition && this.connection.topology.ownerOf(other.slot) === node,
    )
    const options = { lane: 'confirm', socket: 0, timeoutMs } as const
    const outcome = await touch(node, [partition, ...others], confirmation, options)
    if (!outcome.ok) return 'broken'
    const [touched, confirmed] = outcome.replies
    if (touched instanceof Error) return passes(touched) ? 'not in time' : 'broken'
    return confirmation.satisfiedBy(confirmed) ? 'confirmed' : 'not in time'
  }

  /** No replica is there to be promoted in its place: then the master's word is the best there is. */
  #alone(node: Node): boolean {
    const { topology, options } = this.connection
    return options.mode === 'cluster' && topology.replicasOf(node).length === 0
  }
}

export function notConfirmed(queue: string, taskId: string): NotReplicatedError {
  return new NotReplicatedError(
    queue,
    taskId,
    'its master has carried the call out, and no replica confirms it',
  )
}

/** Asks once for all who want to know: who asks while an answer is under way shares the next one. */
class Question {
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
