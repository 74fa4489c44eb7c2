import type { Partition } from '../keys/partitions.js'
import type { Consumer } from '../queue/consumer.js'
import type { Lease } from '../queue/lease.js'
import type { Run } from './run.js'
import type { Runs } from './runs.js'

export interface HeartbeatListener {
  onLost(run: Run): void
  /** A round of renewals: undefined if all of it went through. */
  onBeat(error: Error | undefined): void
}

/**
 * Keeps the leases of tasks in hand alive. Every third of the lease all leases of a partition are renewed in one call, so two
 * renewals may fail before a lease runs out. A lease is lost only when the server says so.
 */
export class Heartbeat {
  #timer: NodeJS.Timeout | undefined

  constructor(
    private readonly consumer: Consumer,
    private readonly runs: Runs,
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

  /** One round of renewals. */
  async beat(): Promise<void> {
    const byPartition = new Map<Partition, Map<Lease, Run[]>>()
    for (const run of this.runs.all()) {
      for (const lease of run.delivery.leases) {
        const leases = byPartition.get(lease.partition) ?? new Map<Lease, Run[]>()
        byPartition.set(lease.partition, leases)
        const runs = leases.get(lease)
        if (runs) runs.push(run)
        else leases.set(lease, [run])
      }
    }
    const errors = await Promise.all(
      [...byPartition].map(([partition, leases]) => this.#renew(partition, leases)),
    )
    this.listener.onBeat(errors.find((error) => error !== undefined))
  }

  async #renew(partition: Partition, leases: ReadonlyMap<Lease, readonly Run[]>): Promise<Error | undefined> {
    // While one is extended for the second time, two leases have the same id.
    const ids = [...new Set([...leases.keys()].map(({ id }) => id))]
    try {
      const { lost, awaited, untilMs } = await this.consumer.renew(partition, ids, this.leaseMs)
      for (const lease of leases.keys())
        if (!lost.has(lease.id) && !awaited.has(lease.id)) lease.renewed(untilMs)
      for (const runs of leases.values()) {
        for (const run of runs) {
          // A lease whose last task was settled while the call was under way is no loss: nothing is held under it.
          // Nor is one that was given up for another.
          if (this.runs.has(run) && run.delivery.leases.every(({ id }) => lost.has(id)))
            this.listener.onLost(run)
        }
      }
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}
