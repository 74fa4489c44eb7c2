/** Number of hash slots of a Redis Cluster. Also in src/keys, which the cluster tools do not import. */
export const ALL_SLOTS = 16_384

/** Inclusive, as CLUSTER NODES has it. */
export type SlotRange = readonly [number, number]

export function slotsIn(ranges: readonly SlotRange[]): number[] {
  return ranges.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
}

export function countIn(ranges: readonly SlotRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
}

/** The fewest ranges that hold these slots, ascending. */
export function rangesOf(slots: Iterable<number>): SlotRange[] {
  const ranges: [number, number][] = []
  for (const slot of [...new Set(slots)].sort((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last && last[1] === slot - 1) last[1] = slot
    else ranges.push([slot, slot])
  }
  return ranges
}

/** `0-5460 5462`; of more than `most` ranges, how many are left out. */
export function rangeText(ranges: readonly SlotRange[], most = Number.POSITIVE_INFINITY): string {
  const shown = ranges
    .slice(0, most)
    .map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const left = ranges.length - shown.length
  return [...shown, ...(left > 0 ? [`and ${left} more`] : [])].join(' ')
}

/** One end of a slot that is being moved, as its node says it of itself. */
export interface OpenSlot {
  readonly slot: number
  /** `migrating`: keys leave this node for `peer`; `importing`: they come from it. */
  readonly direction: 'migrating' | 'importing'
  /** Id of the node at the other end. */
  readonly peer: string
}

/** Reads `[93->-<id>]` and `[77-<-<id>]`; anything else is left out. */
export function parseOpenSlots(texts: readonly string[]): OpenSlot[] {
  return texts.flatMap((text) => {
    const found = /^\[(\d+)-([<>])-(\w+)\]$/.exec(text)
    if (!found) return []
    const [, slot, arrow, peer = ''] = found
    return [{ slot: Number(slot), direction: arrow === '>' ? 'migrating' : 'importing', peer }]
  })
}
