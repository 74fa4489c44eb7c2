import type { Named } from '../scripts/bundles.js'

/** Least time, in ms, for which it is tried to acknowledge a task: longer than a failover. */
export const LEAST_PATIENCE_MS = 60_000
/**
 * The same for one that was answered before, and is told again: nobody waits for it, and what was taken for completed is not to run
 * again because its master was away for long.
 */
const REPEAT_MS = 10 * 60_000

/** Who waits for the queue to take a task for completed. */
export interface AcknowledgementReceiver {
  acknowledged(): void
  refused(error: Error): void
}

const NOBODY: AcknowledgementReceiver = { acknowledged() {}, refused() {} }

/** One completed task on its way to its partition. */
export class Acknowledgement {
  /** Sent before, and perhaps carried out. */
  resent = false
  /** By its own id, and not as one of a bundle. */
  alone = false

  constructor(
    readonly task: Named,
    readonly leaseId: string,
    readonly result: string,
    /** performance.now() until which it is worth trying. */
    readonly deadlineMs: number,
    /** leaseNow() until which nobody else can have been given the task. */
    readonly oursUntilMs: number,
    readonly receiver: AcknowledgementReceiver,
  ) {}
}

/** One that was answered before, once more: the master may have lost it. Nobody waits for it. */
export function repeated(
  one: Pick<Acknowledgement, 'task' | 'leaseId' | 'result' | 'oursUntilMs'>,
): Acknowledgement {
  const { task, leaseId, result, oursUntilMs } = one
  const deadlineMs = performance.now() + REPEAT_MS
  const again = new Acknowledgement(task, leaseId, result, deadlineMs, oursUntilMs, NOBODY)
  again.resent = true
  return again
}
