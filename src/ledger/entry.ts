/**
 * What happened, told by those to whom it happened: producers and workers, never the queue. `token` is the caller's own
 * name for a task, given before the queue has heard of it. Times are ms since 1970 with fractions, on one clock for all
 * processes of a machine (`ledgerNow`).
 */
export type Entry = { readonly atMs: number /** The process. */; readonly by: string } & (
  | {
      readonly what: 'enqueue'
      readonly token: string
      /** Its partition key: such a task never moves. */
      readonly key?: string
    }
  | { readonly what: 'acknowledged'; readonly token: string; readonly id: string }
  | { readonly what: 'rejected'; readonly token: string; readonly error: string }
  /**
   * `run`, `ran`, `threw`: a handler begins, ends, ends with an error or is told that its time is over. `completed`: its completion is confirmed. `failed`, `dead`: it did not end well, and the queue
   * has taken note: the task is to be tried again, or is with the dead letters. `attempt`: which one it is, by what the queue says, 1 for
   * the first. `run`: which of all runs of this process. Where one is not said, the latest that goes on.
   */
  | {
      readonly what: 'run' | 'ran' | 'threw' | 'completed' | 'failed' | 'dead'
      readonly token: string
      readonly id: string
      readonly attempt?: number
      readonly run?: number
    }
  /** What became of it the queue did not take from this worker. */
  | {
      readonly what: 'refused'
      readonly token: string
      readonly id: string
      readonly error: string
      readonly attempt?: number
      readonly run?: number
    }
  /** Somebody had it removed. */
  | { readonly what: 'removed'; readonly token: string }
  /**
   * A step of a fault, at the moment that it is done. `nodes`: it strikes a master, or the network to it; not a replica, nor a process
   * of ours.
   */
  | { readonly what: 'fault'; readonly fault: string; readonly step: string; readonly nodes: boolean }
  /** The fault is over: the cluster is whole, and the queue was drained. */
  | { readonly what: 'healthy'; readonly fault: string }
  /** This process of ours was killed or stopped from running; it runs again. */
  | { readonly what: 'stopped' | 'resumed'; readonly process: string }
)

export function ledgerNow(): number {
  return performance.timeOrigin + performance.now()
}

/** What an entry says, before it has a time and a writer. */
export type Fact = Entry extends infer E ? (E extends Entry ? Omit<E, 'atMs' | 'by'> : never) : never
