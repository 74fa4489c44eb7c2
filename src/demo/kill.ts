import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from '../cluster/index.js'
import type { TaskQueue } from '../index.js'
import { unlessAborted } from './abort.js'
import type { DemoTasks } from './grid.js'
import type { Ledger } from './ledger.js'
import { seconds } from './view.js'

export interface KillOptions {
  readonly cluster: LocalCluster
  readonly queue: Pick<TaskQueue<DemoTasks>, 'depth'>
  readonly ledger: Ledger
  readonly tasks: number
  /** Ends the wait, whatever for. */
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

/** What became of the master that was killed, as far as is known yet. */
export interface Killing {
  master: string | null
  /** Milliseconds from the kill until its shard served again; see `killHalfWay`. */
  servedAgainAfterMs: number | null
}

const POLL_MS = 5

/**
 * Waits until half of the tasks are completed, ends the first master with SIGKILL, and waits until its shard serves
 * again: until `depth()`, which asks the master of every partition, has an answer. The process that was killed
 * cannot have given it, so this client has found the new master by then, and that one answers.
 */
export async function killHalfWay(killing: Killing, options: KillOptions): Promise<void> {
  const { cluster, queue, ledger, tasks, signal, note } = options
  while (ledger.completed < tasks / 2) {
    if (signal.aborted) return
    await sleep(POLL_MS)
  }
  const victim = cluster.nodes.find(({ role }) => role === 'master')
  if (!victim) return
  killing.master = `${victim.host}:${victim.port}`
  note(`Half way: SIGKILL for the master ${killing.master}, pid ${victim.pid}`)
  const killedMs = performance.now()
  await cluster.killNode(victim.port)
  while (!signal.aborted) {
    try {
      await unlessAborted(queue.depth(), signal)
      killing.servedAgainAfterMs = performance.now() - killedMs
      return note(`Its shard serves again after ${seconds(killing.servedAgainAfterMs)}`)
    } catch {
      await sleep(POLL_MS) // it gave up before there was a new master; ask again
    }
  }
}
