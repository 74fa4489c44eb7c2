import { setTimeout as sleep } from 'node:timers/promises'
import { NodeUnreachableError } from '../errors.js'
import { nameOf } from '../link.js'
import { parseFields } from '../replies.js'
import { slotsIn } from '../slots.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'

const PATIENCE_MS = 10_000
/** Longest until a replica has heard which slots its master has given away: every node hears of every other within cluster-node-timeout / 2. */
const REPLICAS_MS = 20_000
const POLL_MS = 20
/** A new epoch travels with what the nodes tell each other anyway, mostly within a second or two. */
const HEARD_MS = 3_000

/**
 * Gives a node the latest epoch of all masters, without which its claims are not believed. A node that has not heard of another's
 * newest epoch would take the same one; the two then settle it by themselves, and the one that claims may be the older.
 * @returns the epoch
 * @throws StepRefused when the node does not hear of the others, or its replicas not of it
 */
export async function takeLead(nodes: Nodes, party: Party, masters: readonly Party[]): Promise<number> {
  await untilReplicasHeard(nodes, party)
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

/**
 * Waits until no replica of a node counts a slot as that node's which the node has given away. With the node's newest epoch all others would
 * vote for such a replica, and it would take the slot back, without keys: whoever has it would drop them all. As long as the epoch is the one
 * from before the slot was claimed, they do not.
 * @throws StepRefused
 */
async function untilReplicasHeard(nodes: Nodes, party: Party): Promise<void> {
  const deadline = performance.now() + REPLICAS_MS
  for (;;) {
    const view = await nodes.view(party)
    const own = new Set(slotsIn(view.find(({ id }) => id === party.id)?.slots ?? []))
    const replicas = view.filter(({ masterId, flags }) => masterId === party.id && !flags.some(isLost))
    const late = await Promise.all(
      replicas.map(async (replica) => {
        const seen = await nodes.viewAnew(replica).catch(unlessUnreachable)
        const slots = seen?.find(({ id }) => id === party.id)?.slots ?? []
        return seen && slotsIn(slots).every((slot) => own.has(slot)) ? [] : [nameOf(replica)]
      }),
    )
    if (late.flat().length === 0) return
    if (performance.now() > deadline)
      throw new StepRefused(
        `${late.flat().join(', ')} has not heard which slots its master, ${party.name}, has given away`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
}

/** It is not promoted before it has heard of the others. */
const isLost = (flag: string) => flag === 'fail' || flag === 'noaddr'

/** One that is down counts as failed before long. */
function unlessUnreachable(error: Error): undefined {
  if (!(error instanceof NodeUnreachableError)) throw error
  return undefined
}
