import { setTimeout as sleep } from 'node:timers/promises'
import { nameOf } from '../link.js'
import { parseFields } from '../replies.js'
import { slotsIn } from '../slots.js'
import type { Nodes } from './nodes.js'
import { opinionsOfOthers, selfIn } from './opinions.js'
import { type Party, StepRefused } from './party.js'

const PATIENCE_MS = 10_000
/** Every node hears of every other within cluster-node-timeout / 2. */
const GIVEN_AWAY_MS = 20_000
const POLL_MS = 20
/** A new epoch travels with what the nodes tell each other anyway, mostly within a second or two. */
const HEARD_MS = 3_000

/**
 * Gives a node the latest epoch of all masters, without which its claims are not believed. A node that has not heard of another's
 * newest epoch would take the same one; the two then settle it by themselves, and the one that claims may be the older.
 * @returns the epoch
 * @throws StepRefused when the node does not hear of the others, or somebody not of it
 */
export async function takeLead(nodes: Nodes, party: Party, masters: readonly Party[]): Promise<number> {
  await untilGivenAway(nodes, party)
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
 * Waits until the others have heard of the epoch, before anything is opened. Another tool that moves the slot on before its new owner has
 * heard of this epoch would take one that is not the latest. That is unlikely, so it is not waited for at any price.
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

/**
 * Waits until no node counts a slot as that node's which it has given away and another owns. With its newest epoch, such a node would be
 * believed: a replica of it that is promoted takes the slot back, without keys; and one that comes back from a restart tells whoever has the
 * slot that it is not theirs. Either way that one drops all keys of it. As long as the epoch is the one from before the slot was claimed,
 * it is not believed.
 * @throws StepRefused naming those that have not heard
 */
async function untilGivenAway(nodes: Nodes, party: Party): Promise<void> {
  if (nodes.heardOf.has(party.id)) return
  const deadline = performance.now() + GIVEN_AWAY_MS
  for (;;) {
    const opinions = await opinionsOfOthers(nodes, party)
    // What nobody else owns, nobody can lose: a move that was broken off leaves such slots.
    const owned = new Set(opinions.flatMap(({ view }) => slotsIn((view && selfIn(view)?.slots) ?? [])))
    const late = opinions.filter(({ view }) => {
      const counted = view?.find(({ id }) => id === party.id)?.slots ?? []
      return view === undefined || slotsIn(counted).some((slot) => owned.has(slot))
    })
    if (late.length === 0) break
    if (performance.now() > deadline)
      throw new StepRefused(
        `${late.map(({ node }) => nameOf(node)).join(', ')} does not answer, or has not heard which slots ${party.name} has given away`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
  nodes.heardOf.add(party.id)
}
