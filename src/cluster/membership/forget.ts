import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { type NodeView, parseFields } from '../replies.js'
import { type RosterOptions, rosterOf } from './roster.js'

/** Longest that a node is told to forget all others, in ms. */
const RESET_MS = 5_000
const RETRY_MS = 50

/**
 * Has all others forget a node that owns nothing, at once, and looks at every one whether it has: FORGET holds for a minute, in
 * which one that still knew it would tell the others again.
 * @param others addresses of nodes that stay
 * @throws ClusterNotReadyError naming those that still know it
 */
export async function forgetEverywhere(
  others: readonly Address[],
  node: Pick<NodeView, 'id' | 'host' | 'port'>,
  options: RosterOptions,
): Promise<void> {
  await rosterOf(others, options, async ({ witnesses }) => {
    const knowing = witnesses.filter(({ view }) => view.some(({ id, myself }) => id === node.id && !myself))
    await Promise.all(
      knowing.map(({ address }) =>
        withLink(address, options, (link) => link.text('CLUSTER', 'FORGET', node.id)).catch(unlessUnknown),
      ),
    )
    return knowing.map(({ name }) => `${name} still knows ${nameOf(node)}`)
  })
}

/** A look is older than what was done on it. */
function unlessUnknown(error: Error): void {
  if (!/Unknown node/i.test(error.message)) throw error
}

/**
 * Makes a node that all others have forgotten forget them too, and who it is: again, until it stays alone, for a packet that was on
 * its way makes it acquainted once more. @throws what it fails with; a server refuses it where there are keys
 */
export async function resetNode(address: Address, options: LinkOptions): Promise<void> {
  await withLink(address, options, async (link) => {
    const deadline = performance.now() + RESET_MS
    for (;;) {
      await link.text('CLUSTER', 'RESET', 'HARD')
      await sleep(RETRY_MS)
      const info = parseFields(await link.text('CLUSTER', 'INFO'))
      if (info.get('cluster_known_nodes') === '1') return
      if (performance.now() > deadline)
        throw new Error(`${nameOf(address)} still knows ${info.get('cluster_known_nodes')} nodes`)
    }
  })
}
