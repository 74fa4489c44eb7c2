import { type Check, each, listed, plural, type Sighting } from '../check.js'
import { FIX, fix } from '../commands.js'
import type { Scene } from '../scene.js'

const ALL_SLOTS = 16_384

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
      each(cluster, ({ self: { openSlots } }) => {
        const slots = openSlots.map((text) => text.replace(/^\[(\d+).*(->|<-).*$/, '$1'))
        const way = openSlots.some((text) => text.includes('->-')) ? 'migrating' : 'importing'
        return slots.length > 0 && `has ${plural(slots.length, 'open slot')} (${way}): ${listed(slots)}`
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
        seen: `${name} has ${plural(keys, 'key')} in ${plural(slots.length, 'slot')} that others serve: ${listed(slots.map(String))}`,
      })),
  },
} satisfies Record<string, Check>

function unassigned({ cluster, members }: Scene): Sighting[] {
  const [node] = cluster
  if (!node) return []
  const owned = new Uint8Array(ALL_SLOTS)
  for (const { line } of members) {
    if (line.role === 'master') for (const [first, last] of line.slots) owned.fill(1, first, last + 1)
  }
  const ranges = emptyRanges(owned)
  if (ranges.length === 0) return []
  const count = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
  const shown = listed(ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)))
  const silent = members.filter(({ live }) => !live).map(({ name }) => name)
  const but = silent.length > 0 ? `; ${listed(silent)} may have had them, and does not answer` : ''
  return [{ nodes: [], seen: `${count} of ${ALL_SLOTS} slots have no owner: ${shown}${but}`, mend: [FIX] }]
}

function emptyRanges(owned: Uint8Array): [number, number][] {
  const ranges: [number, number][] = []
  for (let slot = 0; slot < owned.length; slot++) {
    if (owned[slot] !== 0) continue
    const last = ranges.at(-1)
    if (last && last[1] === slot - 1) last[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges
}
