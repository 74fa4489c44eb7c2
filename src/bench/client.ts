import type { ConnectionOptions } from '../connection/options.js'

export interface WorkOptions {
  /** Handlers at once. */
  readonly concurrency: number
  /** The first line of the handler. */
  readonly onStart: (payload: string) => void
  /** The queue takes the task for completed. */
  readonly onDone: () => void
}

/** A queue as the benchmark uses it: whatever its maker calls the best way to do each of these. */
export interface BenchClient {
  /** One call of the queue's own form for many tasks. */
  enqueueMany(payloads: readonly string[]): Promise<unknown>
  /** As many as the source gives, no faster than the cluster takes them; only where the queue has a call for it. */
  enqueueAll?(payloads: Iterable<string>): Promise<unknown>
  enqueue(payload: string): Promise<unknown>
  /** Resolves when handlers are being given tasks. */
  work(options: WorkOptions): Promise<void>
  /** Ends workers, sockets and timers. */
  close(): Promise<void>
}

export interface BenchSettings {
  /** Default: the queue's own. */
  readonly partitions?: number
}

/** What the module of a contender exports. */
export interface ContenderModule {
  open(connection: ConnectionOptions, queue: string, settings: BenchSettings): Promise<BenchClient>
}

export interface Contender {
  readonly name: string
  /** URL of a ContenderModule; it is loaded in a process of its own for every reading. */
  readonly module: string
  /** How many times the tasks of a reading it gets: enough that it takes seconds, few enough that it is not minutes. */
  readonly scale: number
  /** Handlers at once that suit it best. */
  readonly concurrency: number
  readonly settings?: BenchSettings
}
