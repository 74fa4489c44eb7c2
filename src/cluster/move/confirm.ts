import { randomBytes } from 'node:crypto'
import { tagForSlot } from '../../keys/slots.js'
import type { NodeView } from '../replies.js'
import { parseOpenSlots } from '../slots.js'
import type { Nodes } from './nodes.js'
import { selfIn } from './opinions.js'
import type { Party } from './party.js'
import { refusalOf } from './room.js'
import { Importer } from './write.js'

/** Longer than replicas are waited for. */
const TURN_MS = 15_000
/** The key is removed at once; if we are killed in between, it is gone after that. */
const PROBE_MS = 1_000

/**
 * Waits until every replica that follows a node has all that the node has by now: each may be promoted in its place. WAIT asks only for what was
 * written on its own link, and not for what another node has sent (MIGRATE), so a key is written after that, and removed. Those who come
 * while one waits share the next wait.
 * @param slot in which the key is written: the node owns or imports it. Default: one of its own. In a slot that is leaving no key can be made; then one
 *   of its own is taken, too. A node that has none has got nothing by a move, or gives its last ones away, with keys that it has had all along: it is not asked
 * @throws StepRefused when a replica does not keep up, or none follows though there are some
 */
export function confirmAll(nodes: Nodes, party: Party, slot?: number): Promise<void> {
  const next = nodes.confirming.get(party.id)
  if (next) return next
  const begun = () => {
    if (nodes.confirming.get(party.id) === turn) nodes.confirming.delete(party.id)
  }
  const turn: Promise<void> = nodes
    .patiently(party, TURN_MS, async (link) => {
      begun()
      const [view, importer] = await Promise.all([nodes.view(party), Importer.on(link, party.name)])
      const place = placeIn(view, slot)
      if (place === undefined) return
      // In one round trip: a link's commands are done in their order.
      await Promise.all([probe(importer, party, place), importer.confirmByAll(leastOf(view, party))])
    })
    // It may not even have begun.
    .finally(begun)
  nodes.confirming.set(party.id, turn)
  return turn
}

/** One at least, if there is any that counts as alive: another may be down for a moment. */
export const leastOf = (view: readonly NodeView[], { id }: Party) =>
  view.some(({ masterId, flags }) => masterId === id && !flags.includes('fail')) ? 1 : 0

function placeIn(view: readonly NodeView[], wanted: number | undefined): number | undefined {
  const self = selfIn(view)
  const open = parseOpenSlots(self?.openSlots ?? [])
  const isLeaving = open.some(({ slot, direction }) => slot === wanted && direction === 'migrating')
  if (wanted !== undefined && !isLeaving) return wanted
  for (const [first, last] of self?.slots ?? [])
    for (let slot = first; slot <= last; slot++) if (!open.some((each) => each.slot === slot)) return slot
  return undefined
}

async function probe(importer: Importer, party: Party, slot: number): Promise<void> {
  // Another one each time, so that it is nobody else's.
  const name = `shardq:confirm:{${tagForSlot(slot)}}:${randomBytes(16).toString('hex')}`
  try {
    await importer.write([
      ['SET', name, '', 'PX', PROBE_MS],
      ['UNLINK', name],
    ])
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'ReplyError') throw error
    throw refusalOf(party, `${party.name} takes no key`, error.message)
  }
}
