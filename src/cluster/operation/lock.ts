import { AuthenticationError } from '../../errors.js'
import { slotOf } from '../../keys/slots.js'
import {
  InterruptedError,
  LockUnavailableError,
  OperationInProgressError,
  OperationLostError,
} from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { OPERATION_KEY } from '../own-keys.js'
import { isLeftBehind, makeNote, readNote } from './holder.js'
import type { OperationOptions } from './index.js'
import { KeyLink } from './key-link.js'
import { Watch } from './watch.js'

/**
 * ARGV: our note, the note that ours may replace, ms. Returns nil when the lock is ours now, or else the note of who has it. Also where memory is
 * full: what makes room is an operation too.
 */
const HOLD = `#!lua flags=allow-oom
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[2] then return held end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return false`

/** ARGV: our note. */
const LET_GO = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`

const DEFAULTS = { leaseMs: 20_000, patienceMs: 10_000 } as const
/** Tries before the lease is over. */
const RENEWALS = 4
const RELEASE_MS = 1_000
/** How long a node that fails over may keep the lock from being asked for. */
const FAILOVER_MS = 10_000
/** Keys that are looked at in the slot of the lock. */
const MOST_KEYS = 1_000
/** Of the lease, the part in which nothing is sent any more, since it takes a while to arrive. */
const MARGIN = 0.1

/** The lock of one operation, from `acquire` to `release`. */
export class OperationLock {
  readonly #link: KeyLink
  readonly #lost = new AbortController()
  readonly #leaseMs: number
  #note = ''
  /** Of the last renewal's beginning, since the lease may have been set that early. */
  #heldSince = new Watch()
  #timer: NodeJS.Timeout | undefined
  /** From when it was first asked for: whoever gets no answer may have it all the same. */
  #mayBeHeld = false
  #renewing: Promise<void> = Promise.resolve()
  #why: OperationLostError | undefined

  constructor(
    seeds: readonly Address[],
    access: LinkOptions,
    private readonly options: OperationOptions,
  ) {
    this.#link = new KeyLink(seeds, access)
    this.#leaseMs = options.leaseMs ?? DEFAULTS.leaseMs
  }

  /** Fires when the lock is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Whether it is ours, or was until it was lost; an operation may go on without. */
  get isLocked(): boolean {
    return this.#timer !== undefined
  }

  async acquire(signal?: AbortSignal): Promise<void> {
    this.#note = await makeNote(this.options.name)
    try {
      await this.#take(this.options.patienceMs ?? DEFAULTS.patienceMs, signal)
    } catch (error) {
      if (!(error instanceof LockUnavailableError) || !this.options.onUnlocked) throw error
      await this.#goWithout(error, this.options.onUnlocked, signal)
    }
  }

  /** Unless somebody has it, and its node is about to fail over: then until that has happened, or the lease is over. */
  async #goWithout(
    why: LockUnavailableError,
    onUnlocked: (why: Error) => void,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    if (!(await this.#isHeldSomewhere())) return onUnlocked(why)
    try {
      await this.#take(this.#leaseMs + FAILOVER_MS, signal)
    } catch (error) {
      if (!(error instanceof LockUnavailableError)) throw error
      onUnlocked(error)
    }
  }

  async #take(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      let held = await this.#hold('', { timeoutMs, signal })
      if (held !== null && (await isLeftBehind(held))) held = await this.#hold(held, { timeoutMs, signal })
      if (held !== null) throw new OperationInProgressError(this.options.name, readNote(held), this.#leaseMs)
      // It may have it or not: what a failover forgets is written again at the next renewal.
      await this.#link.confirm()
    } catch (error) {
      if (error instanceof OperationInProgressError || error instanceof AuthenticationError) throw error
      if (signal?.aborted) throw new InterruptedError(this.options.name, { cause: error })
      throw new LockUnavailableError(this.options.name, { cause: error as Error })
    }
    this.#timer = setInterval(() => this.#tick(), this.#leaseMs / RENEWALS)
  }

  /** Whether a node has a note that it cannot serve at the moment: its master is down, and whoever holds the lock goes on. */
  async #isHeldSomewhere(): Promise<boolean> {
    const names = await this.#link.everywhere('CLUSTER', 'GETKEYSINSLOT', slotOf(OPERATION_KEY), MOST_KEYS)
    return names.some((each) => Array.isArray(each) && each.includes(OPERATION_KEY))
  }

  /**
   * Before every command of the operation. It does not wait for the timer, which may come late in a process that stood still.
   * @throws OperationLostError when the lock may be another's before the command has arrived
   */
  mustHold(cause?: unknown): void {
    if (this.isLocked && !this.#why && this.#leftMs() < this.#leaseMs * MARGIN) this.#runOut()
    this.throwIfLost(cause)
  }

  /** @throws OperationLostError if it is */
  throwIfLost(cause?: unknown): void {
    if (this.#why) throw cause === undefined ? this.#why : this.#why.because(cause)
  }

  /** Lets go of it, if it is ours, also where the answer that it is has been lost; where that cannot be said to the cluster, it runs out by itself. */
  async release(): Promise<void> {
    clearInterval(this.#timer)
    await this.#renewing
    if (this.#mayBeHeld)
      await this.#link
        .call({ timeoutMs: RELEASE_MS }, 'EVAL', LET_GO, 1, OPERATION_KEY, this.#note)
        .catch(() => {})
    this.#link.close()
  }

  /** A process that stood still comes here first when it runs on, before anything that was waiting for an answer. */
  #tick(): void {
    if (this.#leftMs() <= 0) this.#runOut()
    else this.#renewing = this.#renewing.then(() => this.#renew())
  }

  async #renew(): Promise<void> {
    if (this.#why) return
    try {
      const held = await this.#hold('', { timeoutMs: this.#leaseMs / RENEWALS, signal: this.lost })
      if (held === null) return
      const { operation, host, pid } = readNote(held)
      this.#lose(`${operation} of process ${pid} on ${host} has it now`)
    } catch {
      // Tried again at the next tick, until the lease is over.
    }
  }

  /** Null: it is ours. Otherwise the note of who has it. */
  async #hold(
    instead: string,
    options: { timeoutMs: number; signal?: AbortSignal | undefined },
  ): Promise<string | null> {
    const began = new Watch()
    this.#mayBeHeld = true
    const args = [HOLD, 1, OPERATION_KEY, this.#note, instead, this.#leaseMs] as const
    const held = await this.#link.call(options, 'EVAL', ...args)
    this.#mayBeHeld = held === null
    if (held !== null) return String(held)
    this.#heldSince = began
    return null
  }

  #leftMs(): number {
    return this.#leaseMs - this.#heldSince.sinceMs()
  }

  #runOut(): void {
    this.#lose(`it could not be renewed for ${this.#leaseMs / 1000} s`)
  }

  #lose(why: string): void {
    clearInterval(this.#timer)
    this.#why = new OperationLostError(this.options.name, why)
    this.#lost.abort(this.#why)
  }
}
