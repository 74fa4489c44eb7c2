import type { Partition } from '../keys/partitions.js'
import type { Consumer } from '../queue/consumer.js'
import type { Delivery } from '../queue/delivery.js'

export interface HeartbeatListener {
  onLost(delivery: Delivery): void
  /** A round of renewals: undefined if all of it went through. */
  onBeat(error: Error | undefined): void
}

/**
 * Keeps the leases of running deliveries alive. Every third of the lease all leases of a partition are renewed in
 * one call, so two renewals may fail before a lease runs out. A lease is lost only when the server says so.
 */
export class Heartbeat {
  readonly #held = new Set<Delivery>()
  #timer: NodeJS.Timeout | undefined

  constructor(
    private readonly consumer: Consumer,
    private readonly leaseMs: number,
    private readonly listener: HeartbeatListener,
  ) {}

  start(): void {
    this.#timer ??= setInterval(() => void this.beat(), Math.floor(this.leaseMs / 3))
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  hold(delivery: Delivery): void {
    this.#held.add(delivery)
  }

  drop(delivery: Delivery): void {
    this.#held.delete(delivery)
  }

  /** One round of renewals. */
  async beat(): Promise<void> {
    const byPartition = new Map<Partition, Map<string, Delivery[]>>()
    for (const delivery of this.#held) {
      const { partition, leaseId } = delivery.lease
      const leases = byPartition.get(partition) ?? new Map<string, Delivery[]>()
      byPartition.set(partition, leases.set(leaseId, [...(leases.get(leaseId) ?? []), delivery]))
    }
    const errors = await Promise.all(
      [...byPartition].map(([partition, leases]) => this.#renew(partition, leases)),
    )
    this.listener.onBeat(errors.find((error) => error !== undefined))
  }

  async #renew(partition: Partition, leases: ReadonlyMap<string, Delivery[]>): Promise<Error | undefined> {
    try {
      const lost = await this.consumer.renew(partition, [...leases.keys()], this.leaseMs)
      // A lease whose last task was settled while the call was under way is no loss: nothing is held under it.
      for (const delivery of lost.flatMap((leaseId) => leases.get(leaseId) ?? [])) {
        if (this.#held.has(delivery)) this.listener.onLost(delivery)
      }
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}
