import type { NodeLink } from './link.js'

/**
 * What is in slots, asked for by scripts: slot by slot, sixteen thousand answers take us longer than a thousand slots take to move.
 * A server stands still for a millisecond or two for each call. Read-only ones, since others wait while writes are paused.
 */
const SLOTS_PER_CALL = 2_000
const KEYS_PER_CALL = 2_000
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
    const found = (await link.reply('EVAL_RO', COUNT, 0, ...some)) as number[]
    for (let i = 0; i + 1 < found.length; i += 2) counts.set(Number(found[i]), Number(found[i + 1]))
  }
  return counts
}

/** ARGV: how many keys of a slot at most, and the slots. A key that has gone meanwhile counts as nothing. */
const SAMPLE = `local found = {}
for i = 2, #ARGV do
  local names = redis.call('CLUSTER', 'GETKEYSINSLOT', ARGV[i], ARGV[1])
  local bytes = 0
  for _, name in ipairs(names) do
    local size = redis.pcall('MEMORY', 'USAGE', name)
    if type(size) == 'number' then bytes = bytes + size end
  end
  found[#found + 1] = { bytes, names }
end
return found`

/** Some keys of a slot, and what they take by MEMORY USAGE. */
export interface SlotSample {
  readonly slot: number
  readonly names: readonly Buffer[]
  readonly bytes: number
}

/** At most so many keys of each of these slots, which the node owns; in their order. */
export async function sampleKeys(
  link: NodeLink,
  slots: readonly number[],
  most: number,
): Promise<SlotSample[]> {
  const samples: SlotSample[] = []
  const atOnce = Math.max(1, Math.floor(KEYS_PER_CALL / most))
  for (let at = 0; at < slots.length; at += atOnce) {
    const some = slots.slice(at, at + atOnce)
    const found = (await link.bytes('EVAL_RO', SAMPLE, 0, most, ...some)) as [number, Buffer[]][]
    samples.push(
      ...found.map(([bytes, names], i) => ({ slot: some[i] as number, names, bytes: Number(bytes) })),
    )
  }
  return samples
}
