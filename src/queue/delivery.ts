import {
  AuthenticationError,
  DeliverySettledError,
  LeaseLostError,
  NotReplicatedError,
  type SettledAs,
} from '../errors.js'
import type { Bundle, Named } from '../scripts/bundles.js'
import type { FetchedTask } from '../scripts/exchange.js'
import { failCall, releaseCall } from '../scripts/lease.js'
import type { ScriptCall } from '../scripts/script.js'
import type { AcknowledgementReceiver } from './acknowledgement.js'
import { type Checkpoint, saveCheckpoint } from './checkpoints.js'
import type { Consumer } from './consumer.js'
import type { Durability } from './durability.js'
import type { Backoff, Priority } from './enqueue-options.js'
import { callUnder, Extension } from './extension.js'
import { toJson } from './json.js'
import type { Lease } from './lease.js'
import { leaseNow } from './lease-clock.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { backoffDelayMs, encodeError, type TaskRecord } from './task.js'
import { checkInteger, checkKeys } from './validate.js'

/** What a delivery needs of its queue. */
export interface DeliveryHost {
  readonly name: string
  readonly durability: Durability
  readonly consumer: Consumer
  readonly options: ResolvedQueueOptions
  checkpoints(id: string): Promise<Checkpoint[]>
}

/** The call that settles a delivery. */
export interface Settlement {
  readonly call: 'complete' | 'fail' | 'release'
  readonly promise: Promise<unknown>
  /** The result, or the error, that it was given. */
  readonly given: unknown
}

const NO_LEASES: readonly Lease[] = []

export const LEAST_LEASE_MS = 500
export const LONGEST_LEASE_MS = 24 * 3_600_000

/**
 * A task in our hands, until its lease runs out. Settle it once: `complete`, `fail` or `release`. Each of them
 * resolves once the queue's durability holds for it, and rejects with LeaseLostError when the task has been given to
 * someone else, with QueueUnavailableError when its shard could not be reached for a minute (or the lease's length, if that
 * is longer), and with NotReplicatedError when the master did it, but a replica that the cluster counts on has not
 * confirmed it by then.
 *
 * The same call again gives the same promise, whatever its arguments; another one, `extend` and `checkpoint` reject with
 * DeliverySettledError from then on. A call that has rejected, unless with NotReplicatedError, may be tried again, or another.
 */
export class Delivery<Type extends string = string, Data = unknown>
  implements Named, AcknowledgementReceiver
{
  readonly id: string
  readonly type: Type
  readonly data: Data
  readonly priority: Priority
  /** 1 for the first. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Ms since 1970, by the producer's clock. */
  readonly enqueuedAt: number
  readonly metadata: Readonly<Record<string, unknown>>
  /** Longest that the handler may run, in ms. */
  readonly timeoutMs: number
  /** @internal */
  readonly bundle: Bundle | undefined
  /** @internal */
  readonly place: number
  readonly #backoff: Backoff
  /** Shared with the others of its batch. */
  readonly #first: Lease
  /** What holds it instead, from the first `extend` on. */
  #extension: Extension | undefined
  /** What it was settled as, or is being; undefined while it is open. */
  #settledAs: SettledAs | undefined
  /** By which call; undefined where a worker completes it, which needs no promise. */
  #settlement: Settlement | undefined
  /** The worker that completes it, until it has heard. */
  #receiver: AcknowledgementReceiver | undefined
  /** The queue has said that it is settled: we hold it no more. */
  #gone: boolean
  /**
   * A worker runs it, and tells what becomes of it. So a call of its handler that rejects while nobody awaits it, perhaps long
   * after the worker has given the handler up, must not end the process. @internal
   */
  followed: boolean
  #refusal: unknown

  constructor(
    private readonly host: DeliveryHost,
    lease: Lease,
    task: FetchedTask,
    record: TaskRecord,
  ) {
    // Not the record itself: its text would be kept for as long as the handler runs.
    this.#backoff = record.backoff
    this.#first = lease
    this.#extension = undefined
    this.#settledAs = undefined
    this.#settlement = undefined
    this.#receiver = undefined
    this.#gone = false
    this.followed = false
    this.#refusal = undefined
    this.bundle = task.bundle
    this.place = task.place
    this.id = task.id
    this.type = record.type as Type
    this.data = record.data as Data
    this.priority = record.priority
    this.attempt = task.attemptsUsed + 1
    this.maxAttempts = record.maxAttempts
    this.enqueuedAt = record.enqueuedAt
    this.metadata = record.metadata
    this.timeoutMs = record.timeoutMs
  }

  /** Whether its lease runs, as far as is known here; renewed ones as of the last renewal. @internal */
  get isHeld(): boolean {
    return leaseNow() < this.#lease.heldUntilMs
  }

  /** What holds it; the second lease too while it is extended. None once the queue has taken it back. @internal */
  get leases(): readonly Lease[] {
    if (this.#gone) return NO_LEASES
    return this.#extension?.leases ?? [this.#first]
  }

  get #lease(): Lease {
    return this.#extension?.lease ?? this.#first
  }

  get #otherLease(): Lease | undefined {
    return this.#extension?.other
  }

  /** An `extend` under way: what comes after it needs the lease that it brings. Never rejects. */
  get #extending(): Promise<void> | undefined {
    return this.#extension?.underWay
  }

  /** Whoever ran it has done with it, whatever became of it. @internal */
  abandoned(): void {
    for (const { partition, id } of this.leases) this.host.consumer.lane(partition).left(id, this.id)
  }

  /** The call of `complete`, `fail` or `release` that has settled it, or is about to. @internal */
  get settlement(): Settlement | undefined {
    return this.#settlement
  }

  /** What the last call that was to settle it was refused with. @internal */
  get refusal(): unknown {
    return this.#refusal
  }

  /** What it was settled as, or is about to be; undefined while it is open. @internal */
  get settledAs(): SettledAs | undefined {
    return this.#settledAs
  }

  /**
   * The task is done; it and its checkpoints are forgotten, the result kept where the queue keeps results. There it rejects
   * with InvalidDataError or PayloadTooLargeError if the result cannot be kept, and the delivery stays open.
   */
  complete(result?: unknown): Promise<void> {
    if (this.#settledAs === 'completed' && !this.#settlement) return this.#completion()
    return this.#once('complete', 'completed', result, () => {
      const text = this.#resultText(result)
      return new Promise<void>((acknowledged, refused) =>
        this.#acknowledge(text, { acknowledged, refused }, performance.now()),
      )
    })
  }

  /** As `complete`, for one who does not want a promise. @throws what `complete` rejects with at once @internal */
  completeFor(result: unknown, receiver: AcknowledgementReceiver, nowMs: number): void {
    this.#mustBeOpen()
    const text = this.#resultText(result)
    // A `toJSON` is code of others, and may have settled it.
    this.#mustBeOpen()
    this.#settledAs = 'completed'
    this.#receiver = receiver
    if (this.#extending) void this.#extending.then(() => this.#acknowledge(text, this, nowMs))
    else this.#acknowledge(text, this, nowMs)
  }

  /** For the queue to tell us. @internal */
  acknowledged(): void {
    this.#gone = true
    this.#tellReceiver()?.acknowledged()
  }

  /** For the queue to tell us. @internal */
  refused(error: Error): void {
    this.#refusal = error
    this.#reopen(error)
    this.#tellReceiver()?.refused(error)
  }

  /**
   * The attempt failed. It is tried again after its backoff, or goes to the dead letters with the error if no
   * attempt is left or `retry` is false. Resolves with what became of it. Anything may be given as the error.
   */
  fail(error: unknown, options: { readonly retry?: boolean } = {}): Promise<'retried' | 'dead'> {
    try {
      checkKeys('options', options, ['retry'])
    } catch (problem) {
      return this.#watched(Promise.reject(problem))
    }
    const as = options.retry === false || this.attempt >= this.maxAttempts ? 'dead' : 'retried'
    return this.#once('fail', as, error, async () => {
      let before = false
      const isDone = await this.#underItsLease(async (lease) => {
        const lane = this.host.consumer.lane(lease.partition)
        const call = failCall(lease.partition.keys, {
          leaseId: lease.id,
          id: this.id,
          attempt: this.attempt,
          next: as === 'dead' ? 'die' : backoffDelayMs(this.#backoff, this.attempt),
          error: encodeError(error),
        })
        // It may be held again before: once the failure was carried out an attempt more is counted, and it is taken back no more.
        lane.settling(lease.id, this.id)
        const { value, resent } = await this.#sendSettling(lease, call, () => lane.asserted())
        // To a call that was sent again, the task shows whether the first one got through: this attempt is counted, or it is gone
        // after others have run it. That it ran out would count the attempt too, and so this holds only while it cannot have.
        before ||= resent && leaseNow() < lease.heldUntilMs && (value === 'counted' || value === 'gone')
        lane.left(lease.id, this.id, value === 'done' ? call : undefined)
        return value === 'done'
      })
      if (!isDone && !before) throw new LeaseLostError(this.id)
      return as
    })
  }

  /** Hands the task back to the head of its list, without using up an attempt. */
  release(): Promise<void> {
    return this.#once('release', 'released', undefined, async () => {
      let before = false
      const isDone = await this.#underItsLease(async (lease) => {
        const lane = this.host.consumer.lane(lease.partition)
        const call = releaseCall(lease.partition.keys, { leaseId: lease.id, ids: [this.id] })
        const first = { ...call, parse: (reply: unknown) => call.parse(reply)[0] ?? 'lost' }
        const { value, resent } = await this.#sendSettling(lease, first, async (resent) => {
          // Once it was sent, the task may stand in its list for others: it must not be taken back from there.
          if (!resent) lane.reopened(lease.id, this.id)
          await lane.asserted()
          lane.left(lease.id, this.id, call)
        })
        // Sent again: while the lease cannot have run out, nobody but the first call can have taken the task out of it.
        before ||= resent && leaseNow() < lease.heldUntilMs
        return value === 'done'
      })
      if (!isDone && !before) throw new LeaseLostError(this.id)
    })
  }

  /**
   * From now on this delivery has a lease of its own, which runs out in `ms` (500 to a day); that may be sooner than before. In a
   * worker no lease is shorter than its `leaseMs`, since it renews them all by that. Rejects as `complete` does; with
   * NotReplicatedError or QueueUnavailableError the task may have the one lease or the other, and the delivery goes on with both.
   */
  extend(ms: number): Promise<void> {
    return this.#watched(this.#extend(ms))
  }

  async #extend(ms: number): Promise<void> {
    checkInteger('ms', ms, LEAST_LEASE_MS, LONGEST_LEASE_MS)
    this.#mustBeOpen()
    while (this.#extending) await this.#extending
    this.#mustBeOpen()
    this.#extension ??= new Extension(this.host, this.id, this.#first)
    // A worker renews in its own time, and would come too late for a shorter one.
    await this.#extension.extend(this.followed ? Math.max(ms, this.#first.lengthMs) : ms)
  }

  /**
   * Calls `send`, which says whether the lease held the task, under its lease, and under the other one that it may have. An
   * `extend` meanwhile may give it another.
   */
  async #underItsLease(send: (lease: Lease) => Promise<boolean>): Promise<boolean> {
    const tried: Lease[] = []
    for (;;) {
      while (this.#extending) await this.#extending
      const lease = [this.#lease, this.#otherLease].find((one) => one && !tried.includes(one))
      if (!lease) return false
      if (await send(lease)) return true
      tried.push(lease)
    }
  }

  /**
   * Saves progress that the next attempt can start from. A checkpoint of the same step is replaced; a task has those of 1,000
   * different steps at most, since each call reads them all on the server. Rejects with InvalidOptionError beyond that: save a list
   * under one step. Rejects with QueueFullError while the memory of its shard is full and all checkpoints of the task take more
   * than 4 KiB.
   */
  checkpoint(step: string, data: unknown): Promise<void> {
    return this.#watched(this.#checkpoint(step, data))
  }

  async #checkpoint(step: string, data: unknown): Promise<void> {
    this.#mustBeOpen()
    const isSaved = await this.#underItsLease(async ({ partition, id: leaseId }) => {
      this.#mustBeOpen()
      const lane = this.host.consumer.lane(partition)
      let isWritten = false
      const before = async () => {
        // The `toJSON` of the data may just have settled the task. What was settled later was so after this call.
        if (!isWritten) this.#mustBeOpen()
        isWritten = true
        await lane.asserted()
      }
      try {
        await saveCheckpoint(this.host, partition, { id: this.id, step, data, leaseId }, before)
      } catch (error) {
        if (error instanceof LeaseLostError) return false
        throw error
      }
      return true
    })
    if (!isSaved) throw new LeaseLostError(this.id)
  }

  /** All checkpoints of the task, in the order of saving. */
  checkpoints(): Promise<Checkpoint[]> {
    return this.#watched(this.host.checkpoints(this.id))
  }

  #mustBeOpen(): void {
    if (this.#settledAs !== undefined) throw new DeliverySettledError(this.id, this.#settledAs)
  }

  /** Sends the call that settles it, unless one has done so or is under way. */
  #once<Result>(
    call: Settlement['call'],
    as: SettledAs,
    given: unknown,
    send: () => Promise<Result>,
  ): Promise<Result> {
    // What this call gave the first time, it gives again.
    if (this.#settlement?.call === call) return this.#settlement.promise as Promise<Result>
    if (this.#settledAs !== undefined)
      return this.#watched(Promise.reject(new DeliverySettledError(this.id, this.#settledAs)))
    this.#settledAs = as
    let follow: (settling: Promise<Result>) => void = () => {}
    const promise = this.#watched(
      new Promise<Result>((resolve) => {
        follow = resolve
      }),
    )
    // Before anything is sent: the result or the error may run code of others, which may make this call once more.
    this.#settlement = { call, promise, given }
    follow(this.#settleBy(send))
    return promise
  }

  #watched<Result>(promise: Promise<Result>): Promise<Result> {
    if (this.followed) promise.catch(() => {})
    return promise
  }

  async #settleBy<Result>(send: () => Promise<Result>): Promise<Result> {
    try {
      if (this.#extending) await this.#extending
      const result = await send()
      this.#gone = true
      return result
    } catch (error) {
      this.#refusal = error
      this.#reopen(error)
      throw error
    }
  }

  /** A call that was not carried out, as far as is known, may be tried again; of one that the master did, no more. */
  #reopen(error: unknown): void {
    if (error instanceof NotReplicatedError) {
      this.#gone = true
      if (!this.#settlement) {
        const promise = Promise.reject(error)
        // The worker has heard of it; whoever asks again hears of it, too.
        promise.catch(() => {})
        this.#settlement = { call: 'complete', promise, given: undefined }
      }
      return
    }
    this.#settledAs = undefined
    this.#settlement = undefined
  }

  /** Of a delivery that a worker completes, for a handler that does so as well. */
  #completion(): Promise<void> {
    const first = this.#receiver
    if (!first) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#receiver = {
        acknowledged() {
          first.acknowledged()
          resolve()
        },
        refused(error) {
          first.refused(error)
          reject(error)
        },
      }
    })
  }

  #tellReceiver(): AcknowledgementReceiver | undefined {
    const receiver = this.#receiver
    this.#receiver = undefined
    return receiver
  }

  #resultText(result: unknown): string {
    const { keepResultsMs, maxPayloadBytes } = this.host.options
    if (keepResultsMs === 0) return ''
    return toJson(`the result of task ${this.id}`, result ?? null, maxPayloadBytes, 'result', true)
  }

  #acknowledge(text: string, receiver: AcknowledgementReceiver, nowMs: number): void {
    const other = this.#otherLease
    const lane = this.host.consumer.lane(this.#lease.partition)
    if (!other) {
      lane.acknowledge(this, this.#lease, text, receiver, nowMs)
      return
    }
    lane.acknowledge(
      this,
      this.#lease,
      text,
      {
        acknowledged: () => receiver.acknowledged(),
        refused: (error) => {
          if (error instanceof LeaseLostError)
            lane.acknowledge(this, other, text, receiver, performance.now())
          else receiver.refused(error)
        },
      },
      nowMs,
    )
  }

  /** As `callUnder`: of a call that was certainly refused, the task is still in our hands. */
  async #sendSettling<Value>(
    lease: Lease,
    call: ScriptCall<Value>,
    before: (resent: boolean) => Promise<void>,
  ): Promise<{ value: Value; resent: boolean }> {
    const lane = this.host.consumer.lane(lease.partition)
    let answered = false
    const parse = (reply: unknown) => {
      answered = true
      return call.parse(reply)
    }
    try {
      return await callUnder(this.host, lease, this.id, { ...call, parse }, before)
    } catch (error) {
      if (error instanceof AuthenticationError && !answered) lane.reopened(lease.id, this.id)
      else lane.left(lease.id, this.id)
      throw error
    }
  }
}
