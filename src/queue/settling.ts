import type { Node } from '../connection/node.js'
import type { Partition } from '../keys/partitions.js'
import { fold, membersOf } from '../scripts/bundles.js'
import { type Acknowledgement, repeated } from './acknowledgement.js'
import { type Durability, notConfirmed, type Safety } from './durability.js'

/**
 * Acknowledgements that are safe are remembered for so many ms, and so many bytes per partition: a master that is
 * restarted may have lost the last of them, as it may have lost the last tasks (recent.ts). Results have bytes of their own: of those
 * that are too much the names stay, so that no task is run again for the size of what it gave; its result is then gone.
 */
const REMEMBER_MS = 3_000
const REMEMBER_BYTES = 512 * 1024
const REMEMBER_RESULT_BYTES = 512 * 1024

/** As they travel: thousands of objects that live for seconds would cost the garbage collector dear. */
interface Remembered {
  readonly leaseId: string
  /** Lines: ids of tasks and, where there are no results, names of bundles. */
  readonly names: string
  /** Lines, one for each name; '' where no results are kept, or were too much. */
  results: string
  readonly oursUntilMs: number
  readonly atMs: number
  /** Of the names. */
  readonly bytes: number
}

/** What the master of one partition has acknowledged, from then until it is safe, and for a moment after. */
export class Settling {
  #count = 0
  #remembered: Remembered[] = []
  #rememberedBytes = 0
  #resultBytes = 0
  /** How many of the oldest have no results any more. */
  #bare = 0
  /** A break was noticed; from then on nothing is forgotten. */
  #doubted = false
  #by: { readonly node: Node; readonly generation: number } | undefined

  constructor(
    private readonly queue: string,
    private readonly partition: Partition,
    private readonly durability: Durability,
    /** These have to be acknowledged again: the master that did it is gone. */
    private readonly again: (acknowledgements: readonly Acknowledgement[]) => void,
  ) {}

  /** Acknowledged and not safe yet. */
  get count(): number {
    return this.#count
  }

  /** Price of what is remembered, about. */
  get rememberedBytes(): number {
    return this.#rememberedBytes + this.#resultBytes
  }

  /** Resolves callers once their acknowledgement is safe, or hands it back through `again`. */
  async secure(done: readonly Acknowledgement[], node: Node): Promise<Safety> {
    this.#count += done.length
    const deadlineMs = done.reduce((most, each) => Math.max(most, each.deadlineMs), 0)
    const { generation } = node
    const safety = await this.durability.ofPast(node, this.partition, deadlineMs)
    this.#count -= done.length
    switch (safety) {
      case 'safe':
        this.#remember(done)
        this.#by = { node, generation }
        for (const each of done) each.receiver.acknowledged()
        break
      case 'late':
        for (const each of done) each.receiver.refused(notConfirmed(this.queue, each.task.id))
        break
      case 'broken':
        for (const each of done) each.resent = true
        this.again(done)
        break
    }
    return safety
  }

  /**
   * The topology has changed. If the partition was cut off, what was safe is acknowledged once more as soon as it is
   * served again.
   */
  followMaster(owner: Node | undefined): void {
    if (!this.#by || (this.#by.node === owner && this.#by.generation === owner.generation)) return
    this.forget()
    this.#doubted = true
    if (!owner?.up) return
    this.#doubted = false
    this.#by = undefined
    const again = this.#remembered.flatMap(({ leaseId, names, results, oursUntilMs }) => {
      const resultOf = results.split('\n')
      return names
        .split('\n')
        .flatMap((name, i) =>
          membersOf(name).map((task) => repeated({ task, leaseId, result: resultOf[i] ?? '', oursUntilMs })),
        )
    })
    this.#remembered = []
    this.#rememberedBytes = 0
    this.#resultBytes = 0
    this.#bare = 0
    if (again.length > 0) this.again(again)
  }

  #remember(done: readonly Acknowledgement[]): void {
    const atMs = performance.now()
    for (let from = 0; from < done.length; ) {
      const first = done[from] as Acknowledgement
      let to = from + 1
      while (done[to]?.leaseId === first.leaseId) to++
      const same = done.slice(from, to)
      const tasks = same.map((each) => each.task)
      // Every result has a name of its own.
      const kept = same.some((each) => each.result !== '')
      const names = (kept ? tasks.map(({ id }) => id) : fold(tasks)).join('\n')
      const results = kept ? same.map((each) => each.result).join('\n') : ''
      const bytes = names.length + 100
      const oursUntilMs = same.reduce((least, each) => Math.min(least, each.oursUntilMs), first.oursUntilMs)
      this.#remembered.push({ leaseId: first.leaseId, names, results, oursUntilMs, atMs, bytes })
      this.#rememberedBytes += bytes
      this.#resultBytes += results.length
      from = to
    }
    this.#dropResults()
    // Now and then, so that the cost of a task does not grow with how many are remembered.
    const oldestMs = this.#remembered[0]?.atMs ?? atMs
    if (this.#rememberedBytes > 2 * REMEMBER_BYTES || oldestMs < atMs - 2 * REMEMBER_MS) this.forget()
  }

  /**
   * Drops what is too old to be missing anywhere, unless the partition is cut off, and what is too much. To be called now and then
   * where nothing is acknowledged any more.
   */
  forget(): void {
    const oldestMs = this.#doubted ? Number.NEGATIVE_INFINITY : performance.now() - REMEMBER_MS
    let gone = 0
    for (const each of this.#remembered) {
      if (each.atMs >= oldestMs && this.#rememberedBytes <= REMEMBER_BYTES) break
      this.#rememberedBytes -= each.bytes
      this.#resultBytes -= each.results.length
      gone++
    }
    if (gone > 0) this.#remembered = this.#remembered.slice(gone)
    this.#bare = Math.max(0, this.#bare - gone)
  }

  /** Of the oldest, until the others are not too much. */
  #dropResults(): void {
    while (this.#resultBytes > REMEMBER_RESULT_BYTES) {
      const oldest = this.#remembered[this.#bare++]
      if (!oldest) return
      this.#resultBytes -= oldest.results.length
      oldest.results = ''
    }
  }
}
