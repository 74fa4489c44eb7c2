import { setTimeout as sleep } from 'node:timers/promises'
import { parseFields } from '../replies.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'

const PATIENCE_MS = 10_000
const POLL_MS = 20

/**
 * Gives a node the latest epoch of all masters, without which its claims are not believed. A node that has not heard of another's
 * newest epoch would take the same one; the two then settle it by themselves, and the one that claims may be the older.
 * @throws StepRefused when the node does not hear of the others
 */
export async function takeLead(nodes: Nodes, party: Party, masters: readonly Party[]): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    await nodes.text(party, 'CLUSTER', 'BUMPEPOCH')
    const epochs = await Promise.all(
      [party, ...masters.filter(({ id }) => id !== party.id)].map(async (each) =>
        Number(parseFields(await nodes.text(each, 'CLUSTER', 'INFO')).get('cluster_my_epoch')),
      ),
    )
    const [own = 0, ...theirs] = epochs
    if (theirs.every((epoch) => epoch < own)) return
    if (performance.now() > deadline)
      throw new StepRefused(
        `${party.name} does not hear of the latest epoch`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
}
