import { setTimeout as sleep } from 'node:timers/promises'
import { parseFields } from '../replies.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'

const PATIENCE_MS = 10_000
const POLL_MS = 20
/** A new epoch travels with what the nodes tell each other anyway, mostly within a second or two. */
const HEARD_MS = 3_000

/**
 * Gives a node the latest epoch of all masters, without which its claims are not believed. A node that has not heard of another's
 * newest epoch would take the same one; the two then settle it by themselves, and the one that claims may be the older.
 * @returns the epoch
 * @throws StepRefused when the node does not hear of the others
 */
export async function takeLead(nodes: Nodes, party: Party, masters: readonly Party[]): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS
  for (;;) {
    await nodes.text(party, 'CLUSTER', 'BUMPEPOCH')
    const epochs = await Promise.all(
      [party, ...masters.filter(({ id }) => id !== party.id)].map(async (each) =>
        Number(parseFields(await nodes.text(each, 'CLUSTER', 'INFO')).get('cluster_my_epoch')),
      ),
    )
    const [own = 0, ...theirs] = epochs
    if (theirs.every((epoch) => epoch < own)) {
      return own
    }
    if (performance.now() > deadline)
      throw new StepRefused(
        `${party.name} does not hear of the latest epoch`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
}

/**
 * Waits until the others have heard of the epoch, before anything is opened. Another tool that moves the slot on before its new owner has heard of this epoch would take one that is not the latest. That is
 * unlikely, so it is not waited for at any price.
 */
export async function untilHeard(
  nodes: Nodes,
  party: Party,
  epoch: number,
  masters: readonly Party[],
): Promise<void> {
  const deadline = performance.now() + HEARD_MS
  while (performance.now() < deadline) {
    const heard = await Promise.all(
      masters.map(async (each) =>
        (await nodes.view(each)).some(({ id, configEpoch }) => id === party.id && configEpoch >= epoch),
      ),
    )
    if (heard.every(Boolean)) return
    await sleep(POLL_MS)
  }
}
