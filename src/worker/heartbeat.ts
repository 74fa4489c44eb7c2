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

/** A run, and what held its task when the leases were to be renewed. */
interface Asked {
  readonly run: Run
  readonly leases: readonly Lease[]
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
    const byPartition = new Map<Partition, Asked[]>()
    for (const run of this.runs.all()) {
      const { leases } = run.delivery
      const [first] = leases
      // Nothing holds it any more: the queue has settled it.
      if (!first) continue
      // All leases of a task are of its partition.
      const asked = byPartition.get(first.partition)
      if (asked) asked.push({ run, leases })
      else byPartition.set(first.partition, [{ run, leases }])
    }
    const errors = await Promise.all(
      [...byPartition].map(([partition, asked]) => this.#renew(partition, asked)),
    )
    this.listener.onBeat(errors.find((error) => error !== undefined))
  }

  async #renew(partition: Partition, asked: readonly Asked[]): Promise<Error | undefined> {
    const all = new Set<Lease>(asked.flatMap(({ leases }) => leases))
    // While one is extended for the second time, two leases have the same id.
    const ids = [...new Set([...all].map(({ id }) => id))]
    try {
      const { lost, awaited, untilMs } = await this.consumer.renew(partition, ids, this.leaseMs)
      for (const lease of all) if (!lost.has(lease.id) && !awaited.has(lease.id)) lease.renewed(untilMs)
      for (const { run, leases } of asked) {
        // A task that was settled while the call was under way is no loss: nothing holds it.
        if (this.runs.has(run) && leases.every(({ id }) => lost.has(id)) && areStill(leases, run))
          this.listener.onLost(run)
      }
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}

/**
 * Whether what held the task when the call was sent holds it still. If not, the answer tells nothing of it: the server may have
 * looked before it gave the task the lease that it has now.
 */
function areStill(leases: readonly Lease[], { delivery }: Run): boolean {
  const now = delivery.leases
  return now.length === leases.length && leases.every(({ id }) => now.some((lease) => lease.id === id))
}
