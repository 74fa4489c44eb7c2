import type { Fault } from '../connection/replies.js'
import { type Bundle, memberId, type Named } from '../scripts/bundles.js'
import type { NewTask } from '../scripts/enqueue.js'

/** A task as it is to be stored. */
export interface EncodedTask extends Omit<NewTask, keyof Named> {
  /** Of which it is always the same partition; undefined: any will do. */
  readonly key: string | undefined
}

/** Who waits for tasks to be stored. `index` is the waiter's own number for one of them. */
export interface Receiver {
  stored(index: number, id: string): void
  failed(index: number, error: Error): void
}

/** What an item takes of the memory beside its record, until it is stored: about so much, measured by heap snapshots. */
const OVERHEAD_BYTES = 500

/** From so many bytes of its record on, a task is not sent to one partition after the other (see producer.ts). */
const LARGE_BYTES = 1024 * 1024

/** A task on its way into the cluster. */
export class Item implements NewTask {
  readonly record: string
  readonly level: 0 | 1 | 2
  readonly delayMs: number
  readonly idempotencyKey: string | undefined
  readonly bytes: number
  /** Given when the task first joins a batch; '' before. Another one only if no partition can have it under this one. */
  id = ''
  bundle: Bundle | undefined = undefined
  place = 0
  /** Partitions that have, or may have, a copy that no replica has confirmed. */
  copies: number[] | undefined = undefined
  /** Partitions that have, may have, or had the task under its present id: none of them gets it a second time. */
  #visited: number[] | undefined = undefined
  /** The last id under which it was stored and taken back again, by when a worker may have run it; '' for never. */
  formerId = ''
  /** Why the last try did not work. */
  fault: Fault | undefined = undefined

  constructor(
    task: EncodedTask,
    private readonly receiver: Receiver,
    private readonly index: number,
    /** performance.now() at which the receiver is told that it did not work. */
    readonly deadlineMs: number,
    /** The only partition that it may go to; undefined: any will do. */
    readonly home: number | undefined = undefined,
    /** How often it was stored again after its master had lost it (see recent.ts). */
    readonly restores = 0,
  ) {
    this.record = task.record
    this.level = task.level
    this.delayMs = task.delayMs
    this.idempotencyKey = task.idempotencyKey
    this.bytes = bytesOf(task)
  }

  get keyed(): boolean {
    return this.home !== undefined
  }

  get large(): boolean {
    return this.record.length > LARGE_BYTES
  }

  join(bundle: Bundle, place: number): void {
    this.bundle = bundle
    this.place = place
    this.id = memberId(bundle.name, place)
  }

  /** Whether it may be stored in this partition, for the first time. */
  mayVisit(partition: number): boolean {
    return this.#visited === undefined || !this.#visited.includes(partition)
  }

  /** Of so many partitions, whether there is one, beside this one, that it may be stored in. */
  hasPlaceBeside(partition: number, partitions: number): boolean {
    if (this.#visited === undefined) return partitions > 1
    return this.#visited.length + (this.mayVisit(partition) ? 1 : 0) < partitions
  }

  hasCopyIn(partition: number): boolean {
    return this.copies?.includes(partition) ?? false
  }

  hasCopyBeside(partition: number): boolean {
    return this.copies?.some((index) => index !== partition) ?? false
  }

  /** The partition has a copy, or may have one. */
  addCopy(partition: number): void {
    if (this.mayVisit(partition)) this.#visited = [...(this.#visited ?? []), partition]
    if (!this.hasCopyIn(partition)) this.copies = [...(this.copies ?? []), partition]
  }

  /**
   * It was stored in this partition, and is no longer there. With no copy anywhere it gets another id: the old one may stand in
   * the partition's ready list, and a second record under it would be handed out twice.
   */
  takenBackFrom(partition: number): void {
    this.formerId = this.id
    const left = this.copies?.filter((index) => index !== partition) ?? []
    if (left.length === 0) {
      this.forgetId()
    } else {
      this.addCopy(partition)
      this.copies = left
    }
  }

  /** The next batch names it anew. */
  forgetId(): void {
    this.id = ''
    this.bundle = undefined
    this.place = 0
    this.copies = undefined
    this.#visited = undefined
  }

  resolve(id: string): void {
    this.receiver.stored(this.index, id)
  }

  reject(error: Error): void {
    this.receiver.failed(this.index, error)
  }
}

export function bytesOf(task: EncodedTask): number {
  return task.record.length + OVERHEAD_BYTES
}

/** One task, whose caller has a promise. */
export class OneReceiver implements Receiver {
  constructor(
    private readonly resolve: (id: string) => void,
    private readonly reject: (error: Error) => void,
  ) {}

  stored(_index: number, id: string): void {
    this.resolve(id)
  }

  failed(_index: number, error: Error): void {
    this.reject(error)
  }
}

/** Many tasks, whose caller has one promise for all of them. */
export class ManyReceiver implements Receiver {
  readonly ids: (string | null)[] = []
  readonly failures: { readonly index: number; readonly error: Error }[] = []
  /** Expected and not told yet. */
  #left = 0
  #resolve: (() => void) | undefined

  /** @returns the index of one more task */
  expect(): number {
    this.#left++
    return this.ids.push(null) - 1
  }

  /** Resolves when of every expected task it is known what became of it. */
  async all(): Promise<Pick<ManyReceiver, 'ids' | 'failures'>> {
    if (this.#left > 0)
      await new Promise<void>((resolve) => {
        this.#resolve = resolve
      })
    return this
  }

  stored(index: number, id: string): void {
    this.ids[index] = id
    this.#count()
  }

  failed(index: number, error: Error): void {
    this.failures.push({ index, error })
    this.#count()
  }

  #count(): void {
    if (--this.#left === 0) this.#resolve?.()
  }
}
