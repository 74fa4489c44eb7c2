import type { Confirmation } from '../connection/confirmation.js'
import { type Connection, sleep } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import {
  OperationNotConfirmedError,
  PartitionConflictError,
  PartitionMismatchError,
  QueueNotFoundError,
  QueueUnavailableError,
} from '../errors.js'
import { type CountCopy, countCopies } from '../keys/keys.js'
import type { Partition } from '../keys/partitions.js'
import { openCall } from '../scripts/open.js'
import { Durability } from './durability.js'
import { DEFAULT_PARTITIONS } from './queue-options.js'

/** Ms between tries while too few copies can be read. */
const RETRY_MS = 50
/** Ms between looks at all copies while nothing changes: a master that was emptied closes no connection. */
const CHECK_MS = 60_000

type Copy = CountCopy & Partition

interface Holder {
  readonly node: Node | undefined
  /** Which of its lives (see node.ts). */
  readonly generation: number | undefined
}

interface Answer extends Holder {
  /** null: this copy is missing. */
  readonly count: number | null
}

/**
 * Into how many partitions a queue is divided. All else hangs on that number: which keys there are, and in which slots. So a
 * cluster keeps it in nine copies in fixed slots, and a queue is opened when more than half of them can be read and all that
 * answer agree; which works while a master is down or memory is full. A copy that is missing is written again, by whoever notices.
 */
export class PartitionCount {
  readonly #copies: readonly Copy[]
  readonly #majority: number
  readonly #durability: Durability
  /** Who was last seen to hold each copy. */
  readonly #holders = new Map<Copy, Holder>()
  /** Copies that are being written. */
  readonly #writing = new Set<Copy>()
  /** Copies whose trouble has been told. */
  readonly #told = new Set<Copy>()
  #count = 0
  #pass: Promise<void> | undefined
  #again = false
  #timer: NodeJS.Timeout | undefined
  #stopped = false
  #onError: (error: Error) => void = () => {}
  #onConflict: (error: Error) => void = () => {}
  readonly #onTopology = () => this.#review()

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    confirmation: Confirmation | undefined,
    private readonly timeoutMs: number,
  ) {
    const copies = countCopies(queue, connection.options.mode)
    this.#copies = copies.map((copy, index) => ({ ...copy, index }))
    this.#majority = Math.floor(copies.length / 2) + 1
    this.#durability = new Durability(queue, connection, this.#copies, confirmation)
  }

  /**
   * The number that the queue has; a queue that is new is made with `asked`, or 12 partitions, where `make` says so. A new one
   * is there once more than half of the copies are safe.
   * @throws PartitionMismatchError, PartitionConflictError, QueueNotFoundError (not `make`)
   * @throws QueueUnavailableError, OperationNotConfirmedError after `timeoutMs`
   */
  async open(asked: number | undefined, make: boolean): Promise<number> {
    const known = await this.find()
    if (known === undefined && !make) throw new QueueNotFoundError(this.queue)
    const count = known ?? (await this.#decide(asked ?? DEFAULT_PARTITIONS))
    if (asked !== undefined && asked !== count) throw new PartitionMismatchError(this.queue, asked, count)
    this.#count = count
    if (known === undefined) await this.#spread()
    // Somebody is making it at this moment, or its copies were lost. Tasks are there, and must not wait for this for long; what
    // goes wrong is met again, and told, by `keep`.
    else if (this.#holders.size < this.#majority)
      await Promise.race([this.#spread().catch(() => {}), sleep(this.connection.commandTimeoutMs)])
    return count
  }

  /**
   * The number that is stored; undefined if the queue is not there. One round trip, as long as all answer.
   * @throws PartitionConflictError; QueueUnavailableError if too few copies can be read within `timeoutMs`
   */
  async find(timeoutMs = this.timeoutMs): Promise<number | undefined> {
    const deadline = performance.now() + timeoutMs
    const answers = new Map<Copy, Answer>()
    let problem: Error | undefined
    for (;;) {
      const unread = this.#copies.filter((copy) => !answers.has(copy))
      await Promise.all(
        unread.map(async (copy) => {
          try {
            answers.set(copy, await this.#read(copy, 0))
          } catch (error) {
            if (!(error instanceof QueueUnavailableError)) throw error
            problem = error
          }
        }),
      )
      const known = this.#agreed(answers)
      // A queue of an older version has the first copy alone; and whoever makes one begins with it.
      const certain = known !== undefined || answers.has(this.#copies[0] as Copy)
      if (answers.size >= this.#majority && certain) {
        for (const [copy, { count, ...holder }] of answers)
          if (count !== null) this.#holders.set(copy, holder)
        return known
      }
      if (performance.now() + RETRY_MS > deadline) {
        const read = `${answers.size} of the ${this.#copies.length} copies of its number of partitions can be read`
        throw new QueueUnavailableError(this.queue, `only ${read}: ${problem?.message}`, { cause: problem })
      }
      await sleep(RETRY_MS)
    }
  }

  /**
   * From now on, writes copies that go missing, and compares: after a change of the masters, and once a minute.
   * @param onConflict the cluster holds another number; nothing may go on
   */
  keep(onError: (error: Error) => void, onConflict: (error: Error) => void): void {
    this.#onError = onError
    this.#onConflict = onConflict
    this.connection.topology.on('change', this.#onTopology)
    this.#review()
    this.#timer = setInterval(() => this.#review(true), CHECK_MS * (0.9 + Math.random() * 0.2))
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#pass
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
    this.connection.topology.off('change', this.#onTopology)
  }

  /** The first copy decides between clients that make the queue at once; nothing is built on it before it is safe. */
  async #decide(count: number): Promise<number> {
    const first = this.#copies[0] as Copy
    const holder = this.#holderOf(first)
    const { value, confirmed } = await this.#durability.callUntilSafe(first, openCall(first, count), {
      lane: 'inspect',
      timeoutMs: this.timeoutMs,
    })
    if (!confirmed) throw this.#notConfirmed([first])
    this.#holders.set(first, holder)
    return value
  }

  /** Writes the copies that are missing. @throws OperationNotConfirmedError unless more than half are safe in time */
  async #spread(): Promise<void> {
    const missing = this.#copies.filter((copy) => !this.#holders.has(copy))
    // On a single server there is no other.
    if (missing.length === 0) return
    let failure: Error | undefined
    await new Promise<void>((resolve, reject) => {
      let left = missing.length
      const done = () => {
        left--
        if (this.#holders.size >= this.#majority || left === 0) resolve()
      }
      for (const copy of missing) {
        this.#write(copy).then(done, (error: Error) => {
          if (error instanceof PartitionMismatchError) reject(error)
          failure = error
          done()
        })
      }
    })
    if (this.#holders.size >= this.#majority) return
    throw this.#notConfirmed(
      this.#copies.filter((copy) => !this.#holders.has(copy)),
      failure,
    )
  }

  async #read(copy: Copy, timeoutMs: number): Promise<Answer> {
    const holder = this.#holderOf(copy)
    const [reply] = await this.connection.commands(
      this.queue,
      copy.slot,
      [['HGET', copy.key, 'partitions']],
      { lane: 'inspect', timeoutMs },
    )
    return { ...holder, count: reply === null ? null : Number(reply) }
  }

  /** @throws PartitionMismatchError when it holds another number; when it is not safe in time */
  async #write(copy: Copy): Promise<void> {
    this.#writing.add(copy)
    try {
      const holder = this.#holderOf(copy)
      const { value, confirmed } = await this.#durability.callUntilSafe(copy, openCall(copy, this.#count), {
        lane: 'inspect',
        timeoutMs: this.timeoutMs,
      })
      if (value !== this.#count) throw new PartitionMismatchError(this.queue, this.#count, value)
      if (!confirmed) throw this.#notConfirmed([copy])
      this.#holders.set(copy, holder)
    } finally {
      this.#writing.delete(copy)
    }
  }

  #review(all = false): void {
    if (this.#stopped) return
    if (this.#pass) {
      this.#again = true
      return
    }
    const doubtful = this.#copies.filter((copy) => {
      const holder = this.#holders.get(copy)
      const now = this.#holderOf(copy)
      if (this.#writing.has(copy) || !now.node?.up) return false
      return all || holder?.node !== now.node || holder?.generation !== now.generation
    })
    if (doubtful.length === 0) return
    this.#pass = Promise.all(doubtful.map((copy) => this.#check(copy))).then(() => {
      this.#pass = undefined
      const again = this.#again
      this.#again = false
      if (again) this.#review()
    })
  }

  /** Never rejects. */
  async #check(copy: Copy): Promise<void> {
    try {
      const { count, ...holder } = await this.#read(copy, this.timeoutMs)
      if (count === null) await this.#write(copy)
      else if (count === this.#count) this.#holders.set(copy, holder)
      else throw new PartitionMismatchError(this.queue, this.#count, count)
      this.#told.delete(copy)
    } catch (error) {
      if (this.#stopped || this.connection.stopped) return
      if (error instanceof PartitionMismatchError) await this.#tellConflict(error)
      else if (!this.#told.has(copy)) {
        this.#told.add(copy)
        const problem = `queue ${this.queue} lacks a copy of its number of partitions (${copy.key})`
        this.#onError(new Error(problem, { cause: error }))
      }
    }
  }

  async #tellConflict(mismatch: PartitionMismatchError): Promise<void> {
    let error: Error = mismatch
    try {
      await this.find(0)
    } catch (found) {
      if (found instanceof PartitionConflictError) error = found
    }
    if (this.#stopped) return
    this.stop()
    this.#onConflict(error)
  }

  /** @throws PartitionConflictError */
  #agreed(answers: ReadonlyMap<Copy, Answer>): number | undefined {
    const found = [...answers].flatMap(([{ key }, { count, node }]) =>
      count === null ? [] : [{ partitions: count, key, node: node?.name ?? '?' }],
    )
    if (new Set(found.map(({ partitions }) => partitions)).size > 1)
      throw new PartitionConflictError(this.queue, found)
    return found[0]?.partitions
  }

  #holderOf({ slot }: Copy): Holder {
    const node = this.connection.topology.ownerOf(slot)
    return { node, generation: node?.generation }
  }

  #notConfirmed(copies: readonly Copy[], cause?: Error): OperationNotConfirmedError {
    const where = copies.map((copy) => `${copy.key} on ${this.#holderOf(copy).node?.name ?? 'no master'}`)
    const problem = `its number of partitions is not safe in ${where.join(', ')}`
    return new OperationNotConfirmedError(this.queue, 'open', [], problem, { cause })
  }
}
