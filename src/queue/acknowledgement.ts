import type { Named } from '../scripts/bundles.js'

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
  one: Pick<Acknowledgement, 'task' | 'leaseId' | 'result' | 'deadlineMs' | 'oursUntilMs'>,
): Acknowledgement {
  const { task, leaseId, result, deadlineMs, oursUntilMs } = one
  const again = new Acknowledgement(task, leaseId, result, deadlineMs, oursUntilMs, NOBODY)
  again.resent = true
  return again
}
