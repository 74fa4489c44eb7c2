import { setTimeout as sleep } from 'node:timers/promises'
import { type Book, ledgerNow } from '../ledger/index.js'
import type { QueueUnderTest } from './queue-under-test.js'

/** One in five tasks has a partition key. */
const KEYED_EACH = 5
const TICK_MS = 5
/** Most enqueues under way: at 10,000 tasks a second, ten seconds of a queue that takes none. */
const MOST_PENDING = 100_000
/** Tasks that wait on the struck shard while it is out, so that its return is seen by what it then hands out. */
const BACKLOG = 200
const MOST_BACKLOG = 2_000
const DRAIN_MS = 75_000
const POLL_MS = 50
/** How long an empty queue must stay so before what has not run counts as lost. */
const EMPTY_MS = 2_000

/** Enqueues at a rate, whatever becomes of it, consumes, and writes everything into the ledger. */
export class Load {
  readonly #unrun = new Set<string>()
  readonly #ran = new Set<string>()
  readonly #pending = new Set<Promise<string | null>>()
  #tokens = 0
  #keyed = 0
  #timer: NodeJS.Timeout | undefined

  constructor(
    private readonly queue: QueueUnderTest,
    private readonly book: Book,
    private readonly rate: number,
  ) {}

  async consume(): Promise<void> {
    const { book } = this
    await this.queue.consume({
      run: (token, id) => book.write({ what: 'run', token, id }),
      ran: (token, id) => {
        book.write({ what: 'ran', token, id })
        this.#ran.add(token)
        this.#unrun.delete(token)
      },
      completed: (token, id) => book.write({ what: 'completed', token, id }),
      refused: (token, id, error) => book.write({ what: 'refused', token, id, error: describe(error) }),
    })
  }

  /** Goes by the clock and not by answers: a queue that stalls must not thereby get less to do. */
  start(): void {
    const startedMs = ledgerNow()
    let offered = 0
    this.#timer = setInterval(() => {
      const due = Math.floor(((ledgerNow() - startedMs) * this.rate) / 1000)
      for (; offered < due && this.#pending.size < MOST_PENDING; offered++) this.#track(this.#next(offered))
    }, TICK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /**
   * Enqueues, before the strike, tasks that fall due all through the outage: 200 on the struck shard. Without keys, for
   * those are what a shard hands out on its own word.
   */
  async backlog(overMs: number, isStruck: (id: string) => boolean): Promise<void> {
    let struck = 0
    for (let sent = 0; struck < BACKLOG && sent < MOST_BACKLOG; ) {
      const batch = Array.from({ length: 50 }, () => this.#put(undefined, Math.ceil(overMs * Math.random())))
      for (const sending of batch) this.#track(sending)
      for (const id of await Promise.all(batch)) if (id !== null && isStruck(id)) struck++
      sent += batch.length
    }
  }

  /**
   * Waits until every enqueue was answered and every acknowledged task has run, or cannot any more because the queue
   * holds nothing; 75 s at most.
   * @returns the tasks that the queue still holds; null where it could not be asked
   */
  async drain(signal: AbortSignal): Promise<number | null> {
    const deadline = performance.now() + DRAIN_MS
    let emptySince: number | null = null
    let held: number | null = null
    while (performance.now() < deadline) {
      // A shard that does not answer now may a moment later.
      held = this.#pending.size > 0 ? null : await this.queue.held().catch(() => null)
      if (held === 0 && this.#unrun.size === 0) return 0
      if (held !== 0) emptySince = null
      else emptySince ??= performance.now()
      if (emptySince !== null && performance.now() - emptySince > EMPTY_MS) return 0
      await sleep(POLL_MS, undefined, { signal })
    }
    return held
  }

  #next(number: number): Promise<string | null> {
    const { keys } = this.queue
    if (number % KEYED_EACH !== 0 || keys.length === 0) return this.#put(undefined, undefined)
    return this.#put(keys[this.#keyed++ % keys.length]?.key, undefined)
  }

  async #put(key: string | undefined, delayMs: number | undefined): Promise<string | null> {
    const { book } = this
    const token = String(++this.#tokens)
    const keyed = key === undefined ? {} : { key }
    book.write({ what: 'enqueue', token, ...keyed })
    try {
      const id = await this.queue.enqueue(token, { ...keyed, ...(delayMs === undefined ? {} : { delayMs }) })
      book.write({ what: 'acknowledged', token, id })
      if (!this.#ran.has(token)) this.#unrun.add(token)
      return id
    } catch (error) {
      book.write({ what: 'rejected', token, error: describe(error) })
      return null
    }
  }

  #track(sending: Promise<string | null>): void {
    this.#pending.add(sending)
    void sending.finally(() => this.#pending.delete(sending))
  }
}

const describe = (error: unknown) =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error)
