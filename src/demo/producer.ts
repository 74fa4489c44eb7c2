import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DemoTasks, type Priority, priorityOf } from './grid.js'
import type { Ledger } from './ledger.js'
import type { Crossover } from './strategy.js'

/** As much of a queue as the producer needs. */
export interface EnqueueTarget {
  enqueue(type: 'backtest', data: DemoTasks['backtest'], options: { priority: Priority }): Promise<string>
}

export interface ProduceOptions {
  readonly queue: EnqueueTarget
  readonly pairs: readonly Crossover[]
  readonly ledger: Ledger
  /** How long handing out all pairs should take, milliseconds. */
  readonly spreadOverMs: number
  readonly signal: AbortSignal
}

/** Callers that wait for one `enqueue` each, as the requests of a web server would. */
const CALLERS = 16
const RETRY_AFTER_MS = 50
const GIVE_UP_AFTER_MS = 60_000

/**
 * Enqueues all pairs at a steady pace, pair i at its share of `spreadOverMs`. Not as fast as possible: the whole
 * grid would be in the queue before the first failover is noticed, and the demo would show nothing about
 * producers. A caller that is late does not wait until it has caught up, so a stall shows as a stall and not
 * as a lower rate.
 * @throws the last rejection, when no `enqueue` succeeded for a minute
 */
export async function produce({ queue, pairs, ledger, spreadOverMs, signal }: ProduceOptions): Promise<void> {
  const failed = new AbortController()
  const ended = AbortSignal.any([signal, failed.signal])
  setMaxListeners(CALLERS, ended)
  const started = performance.now()
  let next = 0
  const caller = async () => {
    while (next < pairs.length && !ended.aborted) {
      const index = next++
      const pair = pairs[index] as Crossover
      const early = started + (index * spreadOverMs) / pairs.length - performance.now()
      // Timers count whole milliseconds; waiting for less would only slow the producer down.
      if (early >= 1) await sleep(early, undefined, { signal: ended })
      await enqueueUntilAccepted(queue, pair, priorityOf(index), ledger, ended)
    }
  }
  try {
    await Promise.all(Array.from({ length: CALLERS }, caller))
  } finally {
    failed.abort() // one has given up: so do the others
  }
}

async function enqueueUntilAccepted(
  queue: EnqueueTarget,
  pair: Crossover,
  priority: Priority,
  ledger: Ledger,
  signal: AbortSignal,
): Promise<void> {
  ledger.want(performance.now())
  const giveUpMs = performance.now() + GIVE_UP_AFTER_MS
  while (true) {
    const calledMs = performance.now()
    try {
      const id = await queue.enqueue('backtest', pair, { priority })
      ledger.acknowledge(id, { calledMs, atMs: performance.now() })
      return
    } catch (error) {
      ledger.reject({ calledMs, atMs: performance.now() })
      if (performance.now() > giveUpMs) throw error
      await sleep(RETRY_AFTER_MS, undefined, { signal })
    }
  }
}
