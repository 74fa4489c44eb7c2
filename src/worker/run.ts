import type { AcknowledgementReceiver } from '../queue/acknowledgement.js'
import type { Checkpoint } from '../queue/checkpoints.js'
import type { Delivery } from '../queue/delivery.js'
import { follow } from '../queue/thenable.js'
import type { TaskContext } from './context.js'
import type { TypeAccount } from './watcher.js'

export type Handler = (task: Delivery, context: TaskContext) => unknown

/** None of these throws. A run is over with the first that ends it; what comes after is ignored. */
export interface RunListener {
  onProgress(run: Run, value: unknown): void
  onLog(run: Run, message: string): void
  /** The handler returned. */
  onReturned(run: Run, result: unknown): void
  /** The handler threw. */
  onThrown(run: Run, error: unknown): void
  /** The queue knows that the task is completed. */
  onCompleted(run: Run): void
  /** The queue does not take it for completed. */
  onRefused(run: Run, error: Error): void
}

/**
 * One handler at work, from the first line to the queue's word that the task is completed. It is the handler's context
 * too: one object for each task, where thousands run in a second.
 */
export class Run implements TaskContext, AcknowledgementReceiver {
  /** What the handler does from here on is of no interest. */
  over = false
  /** See Runs. */
  place = -1
  result: unknown = undefined
  /** Where it is counted, if that is wanted. */
  account: TypeAccount | undefined = undefined
  #controller: AbortController | undefined = undefined
  #reason: Error | undefined = undefined
  /** performance.now() by which the handler has to be done. */
  readonly deadlineMs: number

  constructor(
    readonly delivery: Delivery,
    private readonly listener: RunListener,
    /** performance.now() */
    nowMs: number,
  ) {
    this.deadlineMs = nowMs + delivery.timeoutMs
    delivery.followed = true
  }

  /** By performance.now(). Not a field: one more number would be one more object, for each task. */
  get startedMs(): number {
    return this.deadlineMs - this.delivery.timeoutMs
  }

  start(handler: Handler): void {
    let returned: unknown
    try {
      returned = handler(this.delivery, this)
    } catch (error) {
      this.listener.onThrown(this, error)
      return
    }
    const isPending = follow(
      returned,
      (result) => this.listener.onReturned(this, result),
      (error) => this.listener.onThrown(this, error),
    )
    if (!isPending) this.listener.onReturned(this, returned)
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#controller?.abort(reason)
  }

  /** Made only when it is asked for: most handlers never look at it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  get attempt(): number {
    return this.delivery.attempt
  }

  checkpoint(step: string, data: unknown): Promise<void> {
    return this.delivery.checkpoint(step, data)
  }

  checkpoints(): Promise<Checkpoint[]> {
    return this.delivery.checkpoints()
  }

  progress(value: unknown): void {
    this.listener.onProgress(this, value)
  }

  log(message: string): void {
    this.listener.onLog(this, message)
  }

  acknowledged(): void {
    this.listener.onCompleted(this)
  }

  refused(error: Error): void {
    this.listener.onRefused(this, error)
  }
}
