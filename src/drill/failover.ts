import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeView } from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import { lastElectionMs } from './server-log.js'
import type { Target } from './target.js'

/** Redis gives a manual failover 5 s, and then drops it without a word to whoever asked. */
const CONFIRM_MS = 6_000
const POLL_MS = 5

/** A replica's own last election blocks the next one for two to four node time-outs. */
const WINDOWS = 4

/**
 * Ms until a replica can be sure to take over. Of a server that is not ours nobody can tell, since only its log has it.
 * Worth knowing: a request that is dropped has the master hold writes back for 5 s first.
 */
export async function blockedForMs({ local, nodeTimeoutMs }: Target, replica: NodeView): Promise<number> {
  const atMs = local && (await lastElectionMs(local, replica.port))
  return atMs === null ? 0 : Math.max(0, atMs + windowMs(nodeTimeoutMs) - Date.now())
}

export const windowMs = (nodeTimeoutMs: number) => WINDOWS * nodeTimeoutMs

/**
 * Has a replica take over, in good order. OK is no answer: the request is dropped without a word where master and
 * replica do not agree yet who follows whom, or within 2 to 4 node time-outs of the replica's own last election. So
 * ROLE has the last word.
 * @returns whether it is master now
 */
export async function takeOver(
  { access, addressOf }: Pick<Target, 'access' | 'addressOf'>,
  replica: NodeView,
  signal: AbortSignal,
): Promise<boolean> {
  return withLink(addressOf(replica), access, async (link) => {
    await link.text('CLUSTER', 'FAILOVER')
    const deadline = performance.now() + CONFIRM_MS
    while (performance.now() < deadline) {
      const [role] = (await link.text('ROLE')).split(',')
      if (role === 'master') return true
      await sleep(POLL_MS, undefined, { signal })
    }
    return false
  })
}

/**
 * Ends a master's links to its replicas. One that stands still still has what came into its socket, on one machine some
 * megabytes, and would read that before it is elected: it would have missed nothing.
 */
export async function cutReplicas(
  { access, addressOf }: Pick<Target, 'access' | 'addressOf'>,
  master: NodeView,
): Promise<void> {
  await withLink(addressOf(master), access, (link) => link.text('CLIENT', 'KILL', 'TYPE', 'replica'))
}
