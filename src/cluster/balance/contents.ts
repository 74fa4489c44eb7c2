import type { Party } from '../fix/index.js'
import { keyCounts } from '../key-counts.js'
import { type LinkOptions, type NodeLink, withLink } from '../link.js'
import type { Content } from './plan.js'

/** Longer than for a look: much is read at once. */
const COMMAND_MS = 10_000
/** Keys of a slot that are looked at: a partition has about 15. Where nearly every slot has keys they are no partitions. */
const SAMPLE = 20
const MANY_SLOTS = 2_000
const SAMPLE_OF_MANY = 3
/** Keys of a queue's partition are `shardq:<queue>:{<tag>}:<name>` (docs/architecture.md). */
const QUEUE_KEY = /^shardq:(.+?):\{/
/** Slots of one call, for which the server stands still for a millisecond or two. */
const SLOTS_PER_CALL = 500
/** ARGV: how many keys of a slot, and the slots. A key that has gone meanwhile counts as nothing. */
const SAMPLE_SLOTS = `local found = {}
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
/** Bytes of those keys, and their names. */
type Sampled = readonly [bytes: number, names: readonly Buffer[]]
/** All that is in no queue. Shared out only where there is more of it than a few keys that happen to be somewhere. */
export const OTHER_KEYS = 'other keys'
const FEW_PER_MASTER = 4

/** What is in the slots of these masters that are not empty. Reads a few keys of each slot, and changes nothing. */
export async function contentsOf(
  masters: readonly { readonly node: Party; readonly slots: readonly number[] }[],
  access: LinkOptions,
): Promise<ReadonlyMap<number, Content>> {
  const patient = { ...access, timeoutMs: COMMAND_MS }
  const found = await Promise.all(
    masters.map(({ node, slots }) => withLink(node, patient, (link) => contentsOn(link, slots))),
  )
  const contents = new Map(found.flat())
  const others = [...contents.values()].filter(({ groups }) => groups.includes(OTHER_KEYS)).length
  if (others > FEW_PER_MASTER * masters.length) return contents
  return new Map(
    [...contents].map(([slot, content]) => [
      slot,
      { ...content, groups: content.groups.filter((group) => group !== OTHER_KEYS) },
    ]),
  )
}

async function contentsOn(link: NodeLink, slots: readonly number[]): Promise<[number, Content][]> {
  const occupied = [...(await keyCounts(link, slots))]
  const most = occupied.length > MANY_SLOTS ? SAMPLE_OF_MANY : SAMPLE
  const contents: [number, Content][] = []
  for (let at = 0; at < occupied.length; at += SLOTS_PER_CALL) {
    const some = occupied.slice(at, at + SLOTS_PER_CALL)
    const sampled = (await link.bytes(
      'EVAL',
      SAMPLE_SLOTS,
      0,
      most,
      ...some.map(([slot]) => slot),
    )) as Sampled[]
    contents.push(...some.map(([slot, keys], i): [number, Content] => [slot, contentOf(keys, sampled[i])]))
  }
  return contents
}

function contentOf(keys: number, [bytes, names]: Sampled = [0, []]): Content {
  return {
    keys,
    bytes: names.length === 0 ? 0 : Math.round((bytes * keys) / names.length),
    groups: [...new Set(names.map((name) => QUEUE_KEY.exec(String(name))?.[1] ?? OTHER_KEYS))],
  }
}
