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

  constructor(
    readonly id: string,
    readonly leaseId: string,
    readonly result: string,
    /** performance.now() until which it is worth trying. */
    readonly deadlineMs: number,
    /** performance.now() until which nobody else can have been given the task. */
    readonly oursUntilMs: number,
    readonly receiver: AcknowledgementReceiver,
  ) {}

  /** The same once more, although its receiver has been answered: the master may have lost it. */
  again(deadlineMs: number): Acknowledgement {
    const { id, leaseId, result, oursUntilMs } = this
    const copy = new Acknowledgement(id, leaseId, result, deadlineMs, oursUntilMs, NOBODY)
    copy.resent = true
    return copy
  }
}
