import type { Checkpoint } from '../queue/checkpoints.js'

/** What a handler gets besides its task. */
export interface TaskContext {
  /** Aborted when the task has run too long, its lease is lost, or the worker stops; `reason` says which. */
  readonly signal: AbortSignal
  /** 1 for the first. */
  readonly attempt: number
  /** Saves progress that the next attempt can start from; of 1,000 different steps at most. */
  checkpoint(step: string, data: unknown): Promise<void>
  checkpoints(): Promise<Checkpoint[]>
  /** Tells listeners of the worker's `progress` event how far the task is. Kept nowhere. */
  progress(value: unknown): void
  /** Tells listeners of the worker's `log` event. Kept nowhere. */
  log(message: string): void
}
