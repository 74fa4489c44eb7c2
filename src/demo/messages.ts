import type { ConnectionOptions } from '../connection/options.js'
import type { Crossover, Metrics } from './strategy.js'

/** What the demo's process tells a worker process. */
export type ToWorker =
  | { readonly type: 'start'; readonly connection: ConnectionOptions; readonly concurrency: number }
  /** Finish what is running, fetch nothing more, and end. */
  | { readonly type: 'stop' }

/** What a worker process tells the demo's. */
export type FromWorker =
  | { readonly type: 'started' }
  /** Tasks that were run to the end since the last report. */
  | { readonly type: 'runs'; readonly runs: readonly Run[] }
  | { readonly type: 'error'; readonly message: string }

export interface Run extends Crossover {
  readonly id: string
  readonly attempt: number
  readonly metrics: Metrics
}
