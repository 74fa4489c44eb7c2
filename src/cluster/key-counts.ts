import type { NodeLink } from './link.js'

/** Slots of one call, for which the server stands still for about a millisecond. */
const SLOTS_PER_CALL = 2_000
/** Asked slot by slot, sixteen thousand answers take us longer than a thousand slots take to move. */
const COUNT = `local found = {}
for _, slot in ipairs(ARGV) do
  local keys = redis.call('CLUSTER', 'COUNTKEYSINSLOT', slot)
  if keys > 0 then
    found[#found + 1] = tonumber(slot)
    found[#found + 1] = keys
  end
end
return found`

/** How many keys a node has in each of these slots, whoever owns them. Those without are left out. */
export async function keyCounts(
  link: NodeLink,
  slots: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const counts = new Map<number, number>()
  if (Number(await link.text('DBSIZE')) === 0) return counts
  for (let at = 0; at < slots.length; at += SLOTS_PER_CALL) {
    const some = slots.slice(at, at + SLOTS_PER_CALL)
    const found = (await link.reply('EVAL', COUNT, 0, ...some)) as number[]
    for (let i = 0; i + 1 < found.length; i += 2) counts.set(Number(found[i]), Number(found[i + 1]))
  }
  return counts
}
