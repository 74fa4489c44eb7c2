import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Fault } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { type AdmitInput, admitCall } from '../scripts/admit.js'

/** How long, in ms, a server must have been up that was restarted: time for those who hold its tasks to tell it (reassertion.ts). */
const LEAST_UPTIME_MS = 3_000
/** The same after it has answered that it is loading its data, which may take longer than that. */
const AFTER_LOADING_MS = 3_000

interface Life {
  readonly node: Node
  readonly generation: number
}

interface Heard {
  readonly life: string
  readonly atMs: number
}

/**
 * The run id that a server has told last, and performance.now() when it did so first: it has been up since then, whatever is done to its
 * clock. By this nobody waits longer than LEAST_UPTIME_MS in one life of a server, for all of its partitions together.
 */
const heardFrom = new WeakMap<Node, Heard>()

/**
 * Whether tasks may be taken from a partition. After each break with its master that is asked once, before the next fetch: the master
 * may have been restarted, and have forgotten whom it gave a task with a key.
 */
export class Admission {
  /** Whom we asked, who answered (it may have sent us on), and in which of their lives. */
  #asked: Life | undefined
  #answered: Life | undefined
  /** performance.now() until which there is no point in asking. */
  #notBeforeMs = 0
  /** performance.now() when it last answered that it was loading its data. */
  #loadingAtMs = Number.NEGATIVE_INFINITY

  constructor(
    private readonly connection: Connection,
    private readonly partition: Partition,
  ) {}

  /** Ms until it makes sense to ask for tasks. */
  get waitMs(): number {
    return Math.max(0, this.#notBeforeMs - performance.now())
  }

  /** Whether we have been let in by the owner of the slot, with no break since. */
  isOpenAt(owner: Node | undefined): boolean {
    return isNow(this.#asked, owner)
  }

  /** Whether what this node has handed out was handed out after we had been let in, in the same life. */
  covers(node: Node): boolean {
    return isNow(this.#answered, node)
  }

  /** Asks; undefined if there was an answer, whatever it was. */
  async ask(): Promise<Fault | undefined> {
    // A break after this ends what the answer holds for.
    const owner = this.connection.topology.ownerOf(this.partition.slot)
    const asked = owner && lifeOf(owner)
    const call = admitCall(this.partition.keys, this.#input(owner))
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (!outcome.ok) return outcome.fault
    const { waitMs, life } = outcome.value
    const nowMs = performance.now()
    if (heardFrom.get(outcome.node)?.life !== life) heardFrom.set(outcome.node, { life, atMs: nowMs })
    if (waitMs > 0) this.#notBeforeMs = nowMs + waitMs
    else {
      this.#asked = asked
      this.#answered = outcome.node === owner ? asked : lifeOf(outcome.node)
    }
    return undefined
  }

  #input(owner: Node | undefined): AdmitInput {
    const nowMs = performance.now()
    const heard = owner && heardFrom.get(owner)
    return {
      leastMs: LEAST_UPTIME_MS,
      loadingMs: Math.max(0, this.#loadingAtMs + AFTER_LOADING_MS - nowMs),
      heard: heard && { life: heard.life, sinceMs: nowMs - heard.atMs },
    }
  }

  /** A call has failed. */
  failed(fault: Fault): void {
    if (fault.kind !== 'loading') return
    this.#loadingAtMs = performance.now()
    this.#asked = undefined
    this.#answered = undefined
  }
}

function lifeOf(node: Node): Life {
  return { node, generation: node.generation }
}

function isNow(life: Life | undefined, node: Node | undefined): boolean {
  return life !== undefined && life.node === node && life.generation === node.generation
}
