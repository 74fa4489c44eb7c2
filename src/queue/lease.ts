import type { Partition } from '../keys/partitions.js'
import type { FetchedTask } from '../scripts/exchange.js'
import { isKeyed } from './task.js'

/** A lease that was given to us; one object for all the tasks that are under it. */
export class Lease {
  /** leaseNow() until which it holds, as far as is known here. */
  heldUntilMs: number

  constructor(
    readonly partition: Partition,
    readonly id: string,
    readonly lengthMs: number,
    /** leaseNow() when it was asked for: it runs out no sooner than `lengthMs` after that. */
    readonly askedAtMs: number,
  ) {
    this.heldUntilMs = askedAtMs + lengthMs
  }

  renewed(untilMs: number): void {
    this.heldUntilMs = Math.max(this.heldUntilMs, untilMs)
  }
}

/** What one fetch has brought, or a part of it. */
export interface HandedBatch {
  readonly lease: Lease
  readonly tasks: readonly FetchedTask[]
}

/** Tasks of a bundle have none. */
export const hasKey = ({ bundle, record }: FetchedTask) => bundle === undefined && isKeyed(record)
