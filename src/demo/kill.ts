import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from '../cluster/index.js'
import type { Ledger } from './ledger.js'
import type { ShardWatch } from './shards.js'

export interface KillOptions {
  readonly cluster: LocalCluster
  readonly ledger: Ledger
  readonly shards: ShardWatch
  readonly tasks: number
  /** Ends the wait without a kill. */
  readonly signal: AbortSignal
  readonly note: (text: string) => void
}

const POLL_MS = 5

/** Waits until half of the tasks are completed, then ends the first master with SIGKILL. */
export async function killHalfWay({
  cluster,
  ledger,
  shards,
  tasks,
  signal,
  note,
}: KillOptions): Promise<void> {
  while (ledger.completed < tasks / 2) {
    if (signal.aborted) return
    await sleep(POLL_MS)
  }
  const victim = cluster.nodes.find(({ role }) => role === 'master')
  if (!victim) return
  const name = (node: { host: string; port: number }) => `${node.host}:${node.port}`
  const heirs = cluster.nodes.filter(({ masterPort }) => masterPort === victim.port).map(name)
  note(`Half way: SIGKILL for the master ${name(victim)}, pid ${victim.pid}`)
  // Before the kill, so that the time to look at the process afterwards counts as well.
  shards.expectFailover({ master: name(victim), heirs, atMs: performance.now() })
  await cluster.killNode(victim.port)
}
