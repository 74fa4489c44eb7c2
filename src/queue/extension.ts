import { LeaseLostError, NotReplicatedError } from '../errors.js'
import { extendCall } from '../scripts/lease.js'
import type { ScriptCall } from '../scripts/script.js'
import { LEAST_PATIENCE_MS } from './acknowledgement.js'
import type { DeliveryHost } from './delivery.js'
import { Lease } from './lease.js'
import { leaseNow } from './lease-clock.js'

/** A lease of its own for one task; and the one before, for as long as it is not known which of them holds it. */
export class Extension {
  lease: Lease
  /**
   * Another one that may hold it: that which it gets by an `extend` under way, and that of an `extend` of which it is not known
   * whether it will stay.
   */
  other: Lease | undefined
  #underWay: Promise<void> | undefined

  constructor(
    private readonly host: Pick<DeliveryHost, 'consumer' | 'durability'>,
    private readonly id: string,
    /** Under which the task was handed out. */
    first: Lease,
  ) {
    this.lease = first
  }

  get leases(): readonly Lease[] {
    return this.other ? [this.lease, this.other] : [this.lease]
  }

  /** The `extend` under way. Never rejects. */
  get underWay(): Promise<void> | undefined {
    return this.#underWay
  }

  /** One at a time. From now on the lease runs out in so many ms. @throws what `Delivery.extend` rejects with */
  async extend(ms: number): Promise<void> {
    const work = this.#carryOut(ms)
    const over = () => {
      this.#underWay = undefined
    }
    this.#underWay = work.then(over, over)
    await work
  }

  async #carryOut(ms: number): Promise<void> {
    const before = this.lease
    const { partition } = before
    const ending = `:${this.id}`
    // It may have a lease of its own already, or have one if an earlier call was carried out.
    const own = [before, this.other].find((lease) => lease?.id.endsWith(ending))
    const other = own === before ? (this.other ?? before) : before
    const leaseId = other.id
    const newLeaseId = own?.id ?? leaseId + ending
    const call = extendCall(partition.keys, { id: this.id, leaseId, newLeaseId, leaseMs: ms })
    const next = new Lease(partition, newLeaseId, ms, leaseNow())
    const lane = this.host.consumer.lane(partition)
    if (!own) this.other = next
    let refusal: unknown
    try {
      const { value } = await callUnder(this.host, before, this.id, call, async () => {
        await lane.asserted()
        lane.moving(before.id, this.id, next)
      })
      if (value !== 'done') throw new LeaseLostError(this.id)
      this.other = undefined
    } catch (error) {
      // Whatever is tried again later may count on what holds in any case, and on no more.
      const leastMs = Math.min(next.heldUntilMs, (own ?? other).heldUntilMs)
      next.heldUntilMs = leastMs
      if (own) own.heldUntilMs = leastMs
      if (!(error instanceof NotReplicatedError)) {
        lane.moving(next.id, this.id, before)
        if (error instanceof LeaseLostError) lane.left(before.id, this.id)
        throw error
      }
      // The master has done it. One that takes its place may know the lease before alone.
      this.other = other.id === next.id ? undefined : other
      refusal = error
    } finally {
      // Refused or not: it may have been carried out.
      this.host.consumer.leaseEnds(partition, ms)
    }
    this.lease = next
    if (refusal !== undefined) throw refusal
  }
}

/** Sends a call about a task that this lease is to hold. `before`: see SafeCallOptions. @throws as Durability.call */
export function callUnder<Value>(
  { durability }: Pick<DeliveryHost, 'durability'>,
  { partition, lengthMs }: Lease,
  id: string,
  call: ScriptCall<Value>,
  before: (resent: boolean) => Promise<void>,
): Promise<{ value: Value; resent: boolean }> {
  const timeoutMs = Math.max(lengthMs, LEAST_PATIENCE_MS)
  return durability.call(partition, id, call, { lane: 'inspect', timeoutMs, before })
}
