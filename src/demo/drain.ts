import { setTimeout as sleep } from 'node:timers/promises'
import type { TaskQueue } from '../index.js'
import { unlessAborted } from './abort.js'
import type { DemoTasks } from './grid.js'
import type { Ledger } from './ledger.js'

/** Twice the lease of a delivery (30 s), after which whatever a worker could not confirm is given out again. */
const DRAIN_MS = 60_000
const POLL_MS = 50

/**
 * Waits until every acknowledged task was run, the queue is empty by its own count, and `isSettled`; for a minute
 * at most, since a lost task would never come.
 * @returns the tasks that the queue still holds, dead letters among them
 * @throws the queue's error when it could not be asked at the end of that minute
 */
export async function drain(
  queue: Pick<TaskQueue<DemoTasks>, 'depth'>,
  ledger: Ledger,
  isSettled: () => boolean,
  signal: AbortSignal,
): Promise<number> {
  const deadlineMs = performance.now() + DRAIN_MS
  while (true) {
    try {
      const { ready, active, scheduled, dead } = await unlessAborted(queue.depth(), signal)
      const waiting = ready.high + ready.medium + ready.low + active + scheduled
      const done = waiting === 0 && ledger.completed === ledger.enqueued && isSettled()
      if (done || performance.now() > deadlineMs) return waiting + dead
    } catch (error) {
      // A shard that is down cannot be counted; it may come back.
      if (signal.aborted || performance.now() > deadlineMs) throw error
    }
    await sleep(POLL_MS)
  }
}
