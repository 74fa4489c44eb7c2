import type { Checkpoint, Delivery } from '../queue/delivery.js'

/** What a handler gets besides its task. */
export interface TaskContext {
  /** Aborted when the task has run too long, its lease is lost, or the worker stops; `reason` says which. */
  readonly signal: AbortSignal
  /** 1 for the first. */
  readonly attempt: number
  /** Saves progress that the next attempt can start from. */
  checkpoint(step: string, data: unknown): Promise<void>
  checkpoints(): Promise<Checkpoint[]>
  /** Tells listeners of the worker's `progress` event how far the task is. Kept nowhere. */
  progress(value: unknown): void
  /** Tells listeners of the worker's `log` event. Kept nowhere. */
  log(message: string): void
}

export interface ContextListener {
  onProgress(delivery: Delivery, value: unknown): void
  onLog(delivery: Delivery, message: string): void
}

/** The signal is made only if it is asked for or used: most handlers never look at it. */
export class RunningContext implements TaskContext {
  #controller: AbortController | undefined
  #reason: Error | undefined

  constructor(
    private readonly delivery: Delivery,
    private readonly listener: ContextListener,
  ) {}

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
    this.listener.onProgress(this.delivery, value)
  }

  log(message: string): void {
    this.listener.onLog(this.delivery, message)
  }

  abort(reason: Error): void {
    this.#reason ??= reason
    this.#controller?.abort(reason)
  }
}
