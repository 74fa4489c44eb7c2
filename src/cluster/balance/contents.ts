import type { Party } from '../fix/index.js'
import { type LinkOptions, type NodeLink, withLink } from '../link.js'
import { read } from '../move/content.js'
import { inFlights } from '../move/flights.js'
import type { Content } from './plan.js'

/** Longer than for a look: thousands of questions are on the way at once. */
const COMMAND_MS = 10_000
/** Keys of a slot that are looked at: a partition has about 15. Where nearly every slot has keys they are no partitions. */
const SAMPLE = 20
const MANY_SLOTS = 2_000
const SAMPLE_OF_MANY = 3
/** Keys of a queue's partition are `shardq:<queue>:{<tag>}:<name>` (docs/architecture.md). */
const QUEUE_KEY = /^shardq:(.+?):\{/
/** All that is in no queue. Shared out only where there is more of it than a few keys that happen to be somewhere. */
const OTHER_KEYS = 'other keys'
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
  if (Number(await link.text('DBSIZE')) === 0) return []
  const counts = await inFlights(slots, (slot) => link.reply('CLUSTER', 'COUNTKEYSINSLOT', slot))
  const occupied = slots.flatMap((slot, i) =>
    Number(counts[i]) > 0 ? [{ slot, keys: Number(counts[i]) }] : [],
  )
  const most = occupied.length > MANY_SLOTS ? SAMPLE_OF_MANY : SAMPLE
  return inFlights(occupied, async ({ slot, keys }) => [slot, await contentOf(link, slot, keys, most)])
}

async function contentOf(link: NodeLink, slot: number, keys: number, most: number): Promise<Content> {
  const names = (await link.bytes('CLUSTER', 'GETKEYSINSLOT', slot, most)) as Buffer[]
  const sizes = await Promise.all(names.map((name) => read({ link, asking: false }, 'MEMORY', 'USAGE', name)))
  const sampled = sizes.reduce<number>((sum, size) => sum + Number(size ?? 0), 0)
  return {
    keys,
    bytes: names.length === 0 ? 0 : Math.round((sampled * keys) / names.length),
    groups: [...new Set(names.map((name) => QUEUE_KEY.exec(String(name))?.[1] ?? OTHER_KEYS))],
  }
}
