/**
 * What happened, told by those to whom it happened: producers and workers, never the queue. `token` is the caller's own
 * name for a task, given before the queue has heard of it. Times are ms since 1970 with fractions (`ledgerNow`).
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
   * `run`, `ran`, `threw`: a handler begins, ends, ends with an error or is told that its time is over. `completed`: its completion is
   * confirmed. `failed`, `dead`: it did not end well, and the queue has taken note: the task is to be tried again, or is with the dead
   * letters. `released`: its worker has handed it back. `attempt`: which one it is, by what the queue says, 1 for the first. `run`: which
   * of all runs of this process. Where one is not said, the latest that goes on.
   */
  | {
      readonly what: 'run' | 'ran' | 'threw' | 'completed' | 'failed' | 'dead' | 'released'
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

/** Of the clock that all processes of a machine share. */
const machineMs = () => Number(process.hrtime.bigint()) / 1e6

let offsetMs = Date.now() - machineMs()

export function ledgerNow(): number {
  return machineMs() + offsetMs
}

/** For other processes that write entries of the same account. */
export const ledgerOffsetMs = () => offsetMs

/**
 * To be called in all processes but one, with the offset of that one: else each has its own to the wall clock, taken when it started. On a
 * busy machine `performance.timeOrigin`, which is the same, was seen 18 ms off: enough for an effect to stand before its cause.
 */
export function takeLedgerOffset(ms: number): void {
  offsetMs = ms
}

/** What an entry says, before it has a time and a writer. */
export type Fact = Entry extends infer E ? (E extends Entry ? Omit<E, 'atMs' | 'by'> : never) : never
