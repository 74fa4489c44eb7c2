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

/** A task on its way into the cluster. */
export class Item implements NewTask {
  readonly record: string
  readonly level: 0 | 1 | 2
  readonly delayMs: number
  readonly idempotencyKey: string | undefined
  /** May only go to the partition of its key. */
  readonly keyed: boolean
  readonly bytes: number
  /** Given when the task first joins a batch, and kept from then on; '' before. */
  id = ''
  bundle: Bundle | undefined = undefined
  place = 0
  /** Partitions that have, or may have, a copy that no replica has confirmed. */
  copies: number[] | undefined = undefined
  /** Why the last try did not work. */
  fault: Fault | undefined = undefined

  constructor(
    task: EncodedTask,
    private readonly receiver: Receiver,
    private readonly index: number,
    /** performance.now() at which the receiver is told that it did not work. */
    readonly deadlineMs: number,
    /** How often it was stored again after its master had lost it (see recent.ts). */
    readonly restores = 0,
  ) {
    this.record = task.record
    this.level = task.level
    this.delayMs = task.delayMs
    this.idempotencyKey = task.idempotencyKey
    this.keyed = task.key !== undefined
    this.bytes = bytesOf(task)
  }

  join(bundle: Bundle, place: number): void {
    this.bundle = bundle
    this.place = place
    this.id = memberId(bundle.name, place)
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
