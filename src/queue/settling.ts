import type { Node } from '../connection/node.js'
import type { Partition } from '../keys/partitions.js'
import { type Durability, notConfirmed } from './durability.js'

export interface Acknowledgement {
  readonly id: string
  readonly leaseId: string
  readonly result: string
  /** performance.now() until which it is worth trying. */
  readonly deadlineMs: number
  /** performance.now() until which nobody else can have been given the task. */
  readonly oursUntilMs: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
  /** Sent before, and perhaps carried out. */
  resent: boolean
}

/**
 * Acknowledgements that are safe are remembered for so many ms, and so many bytes per partition: a master that is
 * restarted may have lost the last of them, as it may have lost the last tasks (recent.ts).
 */
const REMEMBER_MS = 3_000
const REMEMBER_BYTES = 512 * 1024

interface Remembered {
  readonly acknowledgement: Acknowledgement
  readonly atMs: number
  readonly bytes: number
}

/** What the master of one partition has acknowledged, from then until it is safe, and for a moment after. */
export class Settling {
  #count = 0
  #remembered: Remembered[] = []
  #rememberedBytes = 0
  /** A break was noticed; from then on nothing is forgotten. */
  #doubted = false
  #by: { readonly node: Node; readonly generation: number } | undefined

  constructor(
    private readonly queue: string,
    private readonly partition: Partition,
    private readonly durability: Durability,
    /** These have to be acknowledged again: the master that did it is gone. */
    private readonly again: (acknowledgements: Acknowledgement[]) => void,
  ) {}

  /** Acknowledged and not safe yet. */
  get count(): number {
    return this.#count
  }

  /** Resolves callers once their acknowledgement is safe, or hands it back through `again`. */
  async secure(done: readonly Acknowledgement[], node: Node): Promise<void> {
    this.#count += done.length
    const deadlineMs = done.reduce((most, each) => Math.max(most, each.deadlineMs), 0)
    const { generation } = node
    const safety = await this.durability.ofPast(node, this.partition, deadlineMs)
    this.#count -= done.length
    switch (safety) {
      case 'safe':
        for (const each of done) this.#remember(each)
        this.#by = { node, generation }
        for (const each of done) each.resolve()
        break
      case 'late':
        for (const each of done) each.reject(notConfirmed(this.queue, each.id))
        break
      case 'broken':
        this.again(done.map((each) => ({ ...each, resent: true })))
        break
    }
  }

  /**
   * The topology has changed. If the partition was cut off, what was safe is acknowledged once more as soon as it is
   * served again.
   */
  followMaster(owner: Node | undefined): void {
    if (!this.#by || (this.#by.node === owner && this.#by.generation === owner.generation)) return
    if (!this.#doubted) this.#forget()
    this.#doubted = true
    if (!owner?.up) return
    this.#doubted = false
    this.#by = undefined
    const deadlineMs = performance.now() + REMEMBER_MS
    const nobody = { resolve: () => {}, reject: () => {}, resent: true, deadlineMs }
    const again = this.#remembered.map(({ acknowledgement }) => ({ ...acknowledgement, ...nobody }))
    this.#remembered = []
    this.#rememberedBytes = 0
    if (again.length > 0) this.again(again)
  }

  #remember(acknowledgement: Acknowledgement): void {
    const bytes = acknowledgement.result.length + 200
    this.#remembered.push({ acknowledgement, atMs: performance.now(), bytes })
    this.#rememberedBytes += bytes
    // Now and then, so that the cost of a task does not grow with how many are remembered.
    if (this.#rememberedBytes > 2 * REMEMBER_BYTES) this.#forget()
  }

  #forget(): void {
    const oldestMs = performance.now() - REMEMBER_MS
    let gone = 0
    for (const each of this.#remembered) {
      if (each.atMs >= oldestMs && this.#rememberedBytes <= REMEMBER_BYTES) break
      this.#rememberedBytes -= each.bytes
      gone++
    }
    this.#remembered = this.#remembered.slice(gone)
  }
}
