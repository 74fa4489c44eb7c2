import type { Partition } from '../keys/partitions.js'
import type { Consumer } from '../queue/consumer.js'
import type { Delivery } from '../queue/delivery.js'

export interface HeartbeatListener {
  onLost(delivery: Delivery): void
  /** A round of renewals: undefined if all of it went through. */
  onBeat(error: Error | undefined): void
}

interface Held {
  readonly delivery: Delivery
  readonly leaseIds: readonly string[]
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
    const byPartition = new Map<Partition, Held[]>()
    for (const delivery of this.#held) {
      const { partition, leaseIds } = delivery.lease
      const held = byPartition.get(partition)
      if (held) held.push({ delivery, leaseIds })
      else byPartition.set(partition, [{ delivery, leaseIds }])
    }
    const errors = await Promise.all(
      [...byPartition].map(([partition, held]) => this.#renew(partition, held)),
    )
    this.listener.onBeat(errors.find((error) => error !== undefined))
  }

  async #renew(partition: Partition, all: readonly Held[]): Promise<Error | undefined> {
    const leaseIds = [...new Set(all.flatMap((held) => held.leaseIds))]
    try {
      const { lost, untilMs } = await this.consumer.renew(partition, leaseIds, this.leaseMs)
      for (const held of all) {
        if (!held.leaseIds.every((leaseId) => lost.has(leaseId))) held.delivery.renewed(untilMs)
        // A lease whose last task was settled while the call was under way is no loss: nothing is held under it.
        // Nor is one that was given up for another.
        else if (this.#held.has(held.delivery) && held.delivery.lease.leaseIds.every((id) => lost.has(id)))
          this.listener.onLost(held.delivery)
      }
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}
