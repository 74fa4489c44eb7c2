import type { Party } from '../fix/index.js'
import { type LinkOptions, type NodeLink, withLink } from '../link.js'
import { OWN_KEYS } from '../own-keys.js'
import { keyCounts, type SlotSample, sampleKeys } from '../slot-keys.js'
import type { Content } from './plan.js'

/** Longer than for a look: much is read at once. */
const COMMAND_MS = 10_000
/** Keys of a slot that are looked at: a partition has about 15. Where nearly every slot has keys they are no partitions. */
const SAMPLE = 20
const MANY_SLOTS = 2_000
const SAMPLE_OF_MANY = 3
/** Keys of a queue's partition are `shardq:<queue>:{<tag>}:<name>` (docs/architecture.md). */
const QUEUE_KEY = /^shardq:([^{}]+):\{/
/** Copies of a queue's number of partitions: some bytes that are spread already, and no reason to move a slot. */
const COUNT_COPY = /^shardq:[^{}]+:\{[^{}]+\}:partitions$/
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
  const counts = await keyCounts(link, slots)
  const most = counts.size > MANY_SLOTS ? SAMPLE_OF_MANY : SAMPLE
  const samples = await sampleKeys(link, [...counts.keys()], most)
  return samples.map((sample) => [sample.slot, contentOf(counts.get(sample.slot) ?? 0, sample)])
}

/** Undefined for a key of no queue's partition. */
export function queueOfKey(name: string): string | undefined {
  return QUEUE_KEY.exec(name)?.[1]
}

function contentOf(keys: number, { names, bytes }: SlotSample): Content {
  return {
    keys,
    bytes: names.length === 0 ? 0 : Math.round((bytes * keys) / names.length),
    groups: [
      ...new Set(
        names
          .map(String)
          .filter((name) => !COUNT_COPY.test(name) && !OWN_KEYS.includes(name))
          .map((name) => queueOfKey(name) ?? OTHER_KEYS),
      ),
    ],
  }
}
