/** Told of every task of a worker as it passes, for who counts them (`instrument` of shardq/metrics). It must not throw. */
export interface WorkerWatcher {
  /** Its handler begins. `waitedMs`: since it was enqueued. */
  started(type: string, waitedMs: number): void
  /** Its handler has ended, or is no longer waited for. */
  ended(type: string, tookMs: number): void
  settled(type: string, outcome: Outcome): void
}

/** `failed`: the attempt failed, and there is another one. */
export type Outcome = 'completed' | 'failed' | 'dead'
