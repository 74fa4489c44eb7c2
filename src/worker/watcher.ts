import type { Durations } from '../queue/timings.js'

/** What a worker counts of the tasks of one type, if anybody wants to know (`instrument` of shardq/metrics). */
export interface TypeAccount {
  /** From enqueue to the start of the handler. */
  readonly wait: Durations
  /** Until the handler has ended, or is no longer waited for. */
  readonly processing: Durations
  /** Attempts. `failed`: there is another one. */
  readonly outcomes: Record<'completed' | 'failed' | 'dead', number>
}

/** Gives the account of a type, or of several. Asked once for each task, and must not throw. */
export type WorkerWatcher = (type: string) => TypeAccount
