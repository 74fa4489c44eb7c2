import type { NodeView } from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import { windowMs } from '../cluster/take-over.js'
import { lastElectionMs } from './server-log.js'
import type { Target } from './target.js'

/**
 * Ms until a replica can be sure to take over. Of a server that is not ours nobody can tell, since only its log has it.
 * Worth knowing: a request that is dropped has the master hold writes back for 5 s first.
 */
export async function blockedForMs({ local, nodeTimeoutMs }: Target, replica: NodeView): Promise<number> {
  const atMs = local && (await lastElectionMs(local, replica.port))
  return atMs === null ? 0 : Math.max(0, atMs + windowMs(nodeTimeoutMs) - Date.now())
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
