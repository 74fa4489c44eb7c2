import { ALL_SLOTS, parseOpenSlots, rangesOf, rangeText, slotsIn } from '../../cluster/slots.js'
import { type Check, each, listed, plural, type Sighting } from '../check.js'
import { FIX, fix } from '../commands.js'
import type { Scene } from '../scene.js'

/** Which slots are served, and whether all keys lie where they are looked for. */
export const SLOTS = {
  'slots-unassigned': {
    severity: 'error',
    about: 'slots without an owner',
    why: 'Keys in them cannot be read or written; with cluster-require-full-coverage yes, no other key can either.',
    mend: fix,
    find: unassigned,
  },
  'open-slots': {
    severity: 'error',
    about: 'slots that are being moved and are not closed',
    why: 'What a move that was interrupted leaves behind. Clients pay a redirect for every key there, commands on several keys fail (TRYAGAIN), the next move is refused, and every node says ok.',
    mend: fix,
    find: ({ cluster }) =>
      each(cluster, ({ self }) => {
        const open = parseOpenSlots(self.openSlots)
        if (open.length === 0) return undefined
        const ways = [...new Set(open.map(({ direction }) => direction))].join(' and ')
        return `has ${plural(open.length, 'open slot')} (${ways}): ${slotText(open.map(({ slot }) => slot))}`
      }),
  },
  'wrong-node-keys': {
    severity: 'error',
    about: 'keys in slots that a node does not serve',
    why: 'Nobody finds them: clients are sent to the owner of the slot, who has not got them. A restore onto the wrong nodes does this, or an interrupted move.',
    mend: fix,
    find: ({ probed }) =>
      [...probed.strays].map(([name, { keys, slots }]) => ({
        nodes: [name],
        seen: `${name} has ${plural(keys, 'key')} in ${plural(slots.length, 'slot')} that others serve: ${slotText(slots)}`,
      })),
  },
  'restore-unfinished': {
    severity: 'error',
    about: 'a restore that is under way, or was broken off',
    why: 'A part of the keys is there. Workers that start now would find a part of their tasks, and what they change the restore will not write over.',
    mend: () => ['shardq cluster restore --from DIR'],
    find: ({ probed }) =>
      [...probed.restores].map(([name, { folder, begunAt }]) => ({
        nodes: [name],
        seen: `a restore of ${folder}, begun ${begunAt}, is not at its end`,
      })),
  },
} satisfies Record<string, Check>

const slotText = (slots: readonly number[]) => rangeText(rangesOf(slots), 6)

function unassigned({ cluster, members }: Scene): Sighting[] {
  if (cluster.length === 0) return []
  const owned = new Set(members.flatMap(({ line }) => (line.role === 'master' ? slotsIn(line.slots) : [])))
  const orphans = slotsIn([[0, ALL_SLOTS - 1]]).filter((slot) => !owned.has(slot))
  if (orphans.length === 0) return []
  const silent = members.filter(({ live }) => !live).map(({ name }) => name)
  const but = silent.length > 0 ? `; ${listed(silent)} may have had them, and does not answer` : ''
  const seen = `${orphans.length} of ${ALL_SLOTS} slots have no owner: ${slotText(orphans)}${but}`
  return [{ nodes: [], seen, mend: [FIX] }]
}
