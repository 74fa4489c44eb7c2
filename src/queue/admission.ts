import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Fault } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { admitCall } from '../scripts/admit.js'

/** How long a server must have been up that was restarted: time for those who hold its tasks to tell it (reassertion.ts). */
const LEAST_UPTIME_S = 3
/** The same after it has answered that it is loading its data, which may take longer than that, in ms. */
const AFTER_LOADING_MS = 3_000

interface Life {
  readonly node: Node
  readonly generation: number
}

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
    const afterLoadingMs = Math.max(0, this.#loadingAtMs + AFTER_LOADING_MS - performance.now())
    const call = admitCall(this.partition.keys, LEAST_UPTIME_S, afterLoadingMs)
    // A break after this ends what the answer holds for.
    const owner = this.connection.topology.ownerOf(this.partition.slot)
    const asked = owner && lifeOf(owner)
    const outcome = await this.connection.attempt(this.partition.slot, call, { lane: 'consume' })
    if (!outcome.ok) return outcome.fault
    if (outcome.value > 0) this.#notBeforeMs = performance.now() + outcome.value
    else {
      this.#asked = asked
      this.#answered = outcome.node === owner ? asked : lifeOf(outcome.node)
    }
    return undefined
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
