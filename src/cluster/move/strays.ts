import { NodeNotEmptyError } from '../errors.js'
import { expectLibrariesElsewhere, servingWithout } from '../only-libraries.js'
import { keyCounts } from '../slot-keys.js'
import { ALL_SLOTS, slotsIn } from '../slots.js'
import type { Nodes } from './nodes.js'
import type { Party } from './party.js'

/**
 * Looks before the last slots of a master are moved. The server then makes it a replica of whoever gets the last one (unless
 * cluster-allow-replica-migration is off, which not everybody may say, and which somebody may switch on), and it copies that one's data over its
 * own: keys of slots that it does not own are lost, and libraries of functions that nobody else has. Keys are counted slot by slot, since DBSIZE less
 * what was counted elsewhere is never of one moment. Costs some reads, and nothing where a slot stays.
 * @param takers ids of those that get slots
 * @param emptied ids of all masters that lose their last slots
 * @throws NodeNotEmptyError, OnlyLibrariesError
 */
export async function expectNoStrays(
  nodes: Nodes,
  from: Party,
  slots: readonly number[],
  takers: readonly string[],
  emptied: ReadonlySet<string> = new Set(),
): Promise<void> {
  const own = new Set(slotsIn((await nodes.self(from)).slots))
  const going = new Set(slots)
  // One without slots is a replica already, or stays a master.
  if (own.size === 0 || [...own].some((slot) => !going.has(slot))) return
  await expectNoStrayKeys(nodes, from, own)
  const staying = servingWithout(await nodes.view(from), new Set([...emptied, from.id]), new Set(takers))
  await expectLibrariesElsewhere(from, staying, 'emptied', nodes.access)
}

/** @throws NodeNotEmptyError */
async function expectNoStrayKeys(nodes: Nodes, from: Party, own: ReadonlySet<number>): Promise<void> {
  const others = Array.from({ length: ALL_SLOTS }, (_, slot) => slot).filter((slot) => !own.has(slot))
  const counts = await keyCounts(await nodes.link(from), others)
  const [stray] = counts.keys()
  if (stray === undefined) return
  const [name] = await nodes.keyNames(from, stray, 1)
  throw new NodeNotEmptyError(
    from.name,
    'emptied',
    [...counts.values()].reduce((sum, count) => sum + count, 0),
    `${name ? `such as ${name}` : `such as one of slot ${stray}`}, and would lose them as a replica`,
    'they may be the only ones there are, and what to do with them says: shardq cluster fix',
  )
}
