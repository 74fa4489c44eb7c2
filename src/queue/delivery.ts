import { InvalidOptionError, LeaseLostError, PayloadTooLargeError, TaskNotFoundError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { checkpointCall } from '../scripts/checkpoint.js'
import type { FetchedTask } from '../scripts/exchange.js'
import { extendCall, failCall, releaseCall } from '../scripts/lease.js'
import type { ScriptCall } from '../scripts/script.js'
import type { Settled } from '../scripts/settled.js'
import type { AcknowledgementReceiver } from './acknowledgement.js'
import type { Consumer, HandedLease } from './consumer.js'
import { LEAST_PATIENCE_MS } from './consumer-lane.js'
import type { Durability } from './durability.js'
import type { Backoff, Priority } from './enqueue-options.js'
import { toJson } from './json.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { backoffDelayMs, encodeError, type TaskRecord } from './task.js'
import { checkInteger, checkKeys, checkText } from './validate.js'

export interface Checkpoint {
  readonly step: string
  readonly data: unknown
  /** Ms since 1970, by the server's clock. */
  readonly savedAt: number
}

/** What a delivery needs of its queue. */
export interface DeliveryHost {
  readonly name: string
  readonly durability: Durability
  readonly consumer: Consumer
  readonly options: ResolvedQueueOptions
  checkpoints(id: string): Promise<Checkpoint[]>
}

export const LEAST_LEASE_MS = 500
export const LONGEST_LEASE_MS = 24 * 3_600_000

/**
 * A task in our hands, until its lease runs out. Settle it once: `complete`, `fail` or `release`. Each of them
 * resolves once the queue's durability holds for it, and rejects with LeaseLostError when the task has been given to
 * someone else, with QueueUnavailableError when its shard could not be reached for a minute (or the lease's length, if that
 * is longer), and with NotReplicatedError when the master did it, but a replica that the cluster counts on has not
 * confirmed it by then.
 */
export class Delivery<Type extends string = string, Data = unknown> {
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
  readonly #backoff: Backoff
  #leaseId: string
  #leaseMs: number
  /** The lease that it gets by an `extend` under way. */
  #nextLeaseId: string | undefined
  /** performance.now() until which the lease holds, as far as is known here. */
  #heldUntilMs: number

  constructor(
    private readonly host: DeliveryHost,
    private readonly handed: HandedLease,
    task: FetchedTask,
    record: TaskRecord,
  ) {
    // Not the record itself: its text would be kept for as long as the handler runs.
    this.#backoff = record.backoff
    this.#leaseId = handed.id
    this.#leaseMs = handed.lengthMs
    this.#heldUntilMs = handed.askedAtMs + handed.lengthMs
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

  /** Where the task is held; by the second lease too while it is extended. @internal */
  get lease(): { readonly partition: Partition; readonly leaseIds: readonly string[] } {
    const leaseIds = [this.#leaseId, ...(this.#nextLeaseId === undefined ? [] : [this.#nextLeaseId])]
    return { partition: this.handed.partition, leaseIds }
  }

  /** Its lease was renewed until then, by performance.now(). @internal */
  renewed(untilMs: number): void {
    this.#heldUntilMs = Math.max(this.#heldUntilMs, untilMs)
  }

  /** The task is done; it and its checkpoints are forgotten, the result kept where the queue keeps results. */
  complete(result?: unknown): Promise<void> {
    return new Promise((resolve, reject) =>
      this.completeFor(result, { acknowledged: resolve, refused: reject }),
    )
  }

  /** As `complete`, for one who does not want a promise. @internal */
  completeFor(result: unknown, receiver: AcknowledgementReceiver): void {
    const { options, consumer } = this.host
    const text =
      options.keepResultsMs > 0
        ? toJson(`the result of task ${this.id}`, result ?? null, options.maxPayloadBytes)
        : ''
    const lease = { id: this.#leaseId, lengthMs: this.#leaseMs, heldUntilMs: this.#heldUntilMs }
    consumer.lane(this.handed.partition).acknowledge(this.id, lease, text, receiver)
  }

  /**
   * The attempt failed. It is tried again after its backoff, or goes to the dead letters with the error if no
   * attempt is left or `retry` is false. Resolves with what became of it.
   */
  async fail(error: unknown, options: { readonly retry?: boolean } = {}): Promise<'retried' | 'dead'> {
    checkKeys('options', options, ['retry'])
    const dies = options.retry === false || this.attempt >= this.maxAttempts
    await this.#settle(
      failCall(this.handed.partition.keys, {
        leaseId: this.#leaseId,
        id: this.id,
        next: dies ? 'die' : backoffDelayMs(this.#backoff, this.attempt),
        error: encodeError(error),
      }),
    )
    return dies ? 'dead' : 'retried'
  }

  /** Hands the task back to the head of its list, without using up an attempt. */
  async release(): Promise<void> {
    const { keys } = this.handed.partition
    const call = releaseCall(keys, { leaseId: this.#leaseId, ids: [this.id] })
    await this.#settle({ ...call, parse: (reply) => call.parse(reply)[0] ?? 'lost' })
  }

  /** From now on this delivery has a lease of its own, which runs out in `ms` (500 to a day). */
  async extend(ms: number): Promise<void> {
    checkInteger('ms', ms, LEAST_LEASE_MS, LONGEST_LEASE_MS)
    const newLeaseId =
      this.#leaseId === `${this.handed.id}:${this.id}` ? this.#leaseId : `${this.handed.id}:${this.id}`
    const call = extendCall(this.handed.partition.keys, {
      id: this.id,
      leaseId: this.#leaseId,
      newLeaseId,
      leaseMs: ms,
    })
    this.#nextLeaseId = newLeaseId
    const askedAtMs = performance.now()
    try {
      const { value } = await this.#send(call)
      if (value !== 'done') throw new LeaseLostError(this.id)
    } finally {
      this.#nextLeaseId = undefined
    }
    this.#leaseId = newLeaseId
    this.#leaseMs = ms
    this.#heldUntilMs = askedAtMs + ms
  }

  /** Saves progress that the next attempt can start from. A checkpoint of the same step is replaced. */
  checkpoint(step: string, data: unknown): Promise<void> {
    return saveCheckpoint(this.host, this.handed.partition, {
      id: this.id,
      step,
      data,
      leaseId: this.#leaseId,
    })
  }

  /** All checkpoints of the task, in the order of saving. */
  checkpoints(): Promise<Checkpoint[]> {
    return this.host.checkpoints(this.id)
  }

  async #settle(call: ScriptCall<Settled>): Promise<void> {
    const { value, resent } = await this.#send(call)
    // Sent twice: the first time may have been the one that worked.
    if (value !== 'done' && !resent) throw new LeaseLostError(this.id)
  }

  #send(call: ScriptCall<Settled>): Promise<{ value: Settled; resent: boolean }> {
    return this.host.durability.call(this.handed.partition, this.id, call, {
      lane: 'inspect',
      timeoutMs: Math.max(this.#leaseMs, LEAST_PATIENCE_MS),
    })
  }
}

/** @throws LeaseLostError, TaskNotFoundError, PayloadTooLargeError, InvalidDataError, InvalidOptionError */
export async function saveCheckpoint(
  host: Pick<DeliveryHost, 'name' | 'durability' | 'options'>,
  partition: Partition,
  input: {
    readonly id: string
    readonly step: string
    readonly data: unknown
    readonly leaseId: string | undefined
  },
): Promise<void> {
  const { maxPayloadBytes, enqueueTimeoutMs } = host.options
  const step = checkText('step', input.step, 200)
  const what = `checkpoint ${JSON.stringify(step)} of task ${input.id}`
  if (input.data === undefined) throw new InvalidOptionError('data', 'expected a value; use null for none')
  const call = checkpointCall(partition.keys, {
    id: input.id,
    step,
    data: toJson(what, input.data, maxPayloadBytes),
    limitBytes: maxPayloadBytes,
    leaseId: input.leaseId,
  })
  const { value } = await host.durability.call(partition, input.id, call, {
    lane: 'inspect',
    timeoutMs: enqueueTimeoutMs,
  })
  switch (value.kind) {
    case 'saved':
      return
    case 'lost':
      throw new LeaseLostError(input.id)
    case 'gone':
      throw input.leaseId === undefined
        ? new TaskNotFoundError(host.name, input.id)
        : new LeaseLostError(input.id)
    case 'full':
      throw new PayloadTooLargeError(`${what}, with those before it,`, value.bytes, maxPayloadBytes)
  }
}
