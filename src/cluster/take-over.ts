import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type LinkOptions, withLink } from './link.js'

/** Redis gives a manual failover 5 s, and then drops it without a word to whoever asked. */
const CONFIRM_MS = 6_000
const POLL_MS = 5

/** A replica's own last election blocks the next one for two to four node time-outs, and the server counts them as 1 s at least. */
const WINDOWS = 4
const SHORTEST_TIMEOUT_MS = 1_000

/** How long a replica may refuse to take over after an election of its own, in ms. A restart ends it at once. */
export const windowMs = (nodeTimeoutMs: number) => WINDOWS * Math.max(nodeTimeoutMs, SHORTEST_TIMEOUT_MS)

/**
 * Has a replica take over, in good order. OK is no answer: the request is dropped without a word where master and
 * replica do not agree yet who follows whom, or within 2 to 4 node time-outs of the replica's own last election. So
 * ROLE has the last word.
 * @returns whether it is master now
 */
export async function takeOver(
  replica: Address,
  access: LinkOptions,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return withLink(replica, access, async (link) => {
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
