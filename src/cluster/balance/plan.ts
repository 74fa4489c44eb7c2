import { ALL_SLOTS } from '../slots.js'
import { sharesOf } from './shares.js'

/** A master, in the order in which `SlotMap` numbers them. */
export interface Weighted {
  readonly id: string
  /** Its share in proportion to the others'; 0 empties it. */
  readonly weight: number
  readonly slots: readonly number[]
}

/** What is in a slot that is not empty. */
export interface Content {
  readonly keys: number
  /** Estimated from some of its keys. */
  readonly bytes: number
  /** The queues that have a partition there, or whatever else is to be shared out equally by itself. */
  readonly groups: readonly string[]
}

export interface SlotMove {
  readonly slot: number
  /** Ids. */
  readonly from: string
  readonly to: string
}

/**
 * Which slots to move, so that each master has its share of the slots and of every group, rounded up or down, with as few moves as that
 * takes: first those of groups, the smallest of what is too many, then empty ones. Pure: the same map gives the same plan.
 * @param fixed slots that stay where they are
 */
export function planMoves(
  masters: readonly Weighted[],
  contents: ReadonlyMap<number, Content>,
  fixed: ReadonlySet<number> = new Set(),
): SlotMove[] {
  const map = new SlotMap(masters, contents, fixed)
  while (map.groups.some((group) => shareOut(map, group))) {}
  fillUp(map)
  return map.moves()
}

/** Who has which slot, while the plan is made. */
class SlotMap {
  readonly #before: Int32Array
  readonly #owner: Int32Array
  readonly weights: readonly number[]
  readonly groups: readonly Group[]
  readonly #groupsOf = new Map<number, Group[]>()

  constructor(
    private readonly masters: readonly Weighted[],
    private readonly contents: ReadonlyMap<number, Content>,
    readonly fixed: ReadonlySet<number>,
  ) {
    this.weights = masters.map(({ weight }) => weight)
    this.#owner = new Int32Array(ALL_SLOTS).fill(-1)
    masters.forEach(({ slots }, master) => {
      for (const slot of slots) this.#owner[slot] = master
    })
    this.#before = this.#owner.slice()
    this.groups = this.#makeGroups()
    for (const group of this.groups)
      for (const slot of group.slots) this.#groupsOf.set(slot, [...this.groupsOf(slot), group])
  }

  owner(slot: number): number {
    return this.#owner[slot] ?? -1
  }

  groupsOf(slot: number): readonly Group[] {
    return this.#groupsOf.get(slot) ?? []
  }

  bytes(slot: number): number {
    return this.contents.get(slot)?.bytes ?? 0
  }

  /** Slots by master. */
  counts(): number[] {
    const counts = this.masters.map(() => 0)
    for (const master of this.#owner) if (master >= 0) counts[master] = (counts[master] ?? 0) + 1
    return counts
  }

  move(slot: number, to: number): void {
    for (const group of this.groupsOf(slot)) group.move(this.owner(slot), to)
    this.#owner[slot] = to
  }

  moves(): SlotMove[] {
    const id = (master: number | undefined) => this.masters[master ?? -1]?.id ?? ''
    return [...this.#owner.keys()]
      .filter((slot) => this.#owner[slot] !== this.#before[slot])
      .map((slot) => ({ slot, from: id(this.#before[slot]), to: id(this.#owner[slot]) }))
  }

  /** The largest first. Who gets one more of one group is to get it less often of the others. */
  #makeGroups(): Group[] {
    const slots = new Map<string, number[]>()
    for (const [slot, { groups }] of this.contents) {
      if (this.owner(slot) < 0) continue
      for (const name of groups) {
        const known = slots.get(name)
        if (known) known.push(slot)
        else slots.set(name, [slot])
      }
    }
    const ahead = this.masters.map(() => 0)
    return [...slots]
      .sort(([a, as], [b, bs]) => bs.length - as.length || (a < b ? -1 : 1))
      .map(([, slots]) => {
        const have = this.masters.map(() => 0)
        for (const slot of slots) have[this.owner(slot)] = (have[this.owner(slot)] ?? 0) + 1
        return new Group(slots, have, sharesOf(this.weights, have, ahead))
      })
  }
}

/** Slots that are to be shared out equally by themselves. */
class Group {
  constructor(
    readonly slots: readonly number[],
    readonly have: number[],
    readonly shares: readonly number[],
  ) {}

  /** How many a master has too many; too few, if negative. */
  excess(master: number): number {
    return (this.have[master] ?? 0) - (this.shares[master] ?? 0)
  }

  /** By how much a move makes it worse; better, if negative. */
  harm(from: number, to: number): number {
    return from === to ? 0 : (this.excess(from) > 0 ? -1 : 1) + (this.excess(to) < 0 ? -1 : 1)
  }

  move(from: number, to: number): void {
    this.have[from] = (this.have[from] ?? 0) - 1
    this.have[to] = (this.have[to] ?? 0) + 1
  }
}

/** @returns whether anything was moved. Each move makes the whole better, so this ends. */
function shareOut(map: SlotMap, group: Group): boolean {
  const slots = inOrder(map, group.slots, (slot) => sizeClass(map, slot))
  let moved = false
  for (const slot of slots) {
    const from = map.owner(slot)
    if (group.excess(from) <= 0 || map.fixed.has(slot)) continue
    const to = mostWanting(group, (master) => harm(map, slot, master) < 0)
    if (to === undefined) continue
    map.move(slot, to)
    moved = true
  }
  return moved
}

/** Those of the fewest groups first, then the smallest, then the highest. What they are compared by is looked up once for each. */
function inOrder(map: SlotMap, slots: readonly number[], sizeOf: (slot: number) => number): number[] {
  return slots
    .map((slot) => ({ slot, groups: map.groupsOf(slot).length, size: sizeOf(slot) }))
    .sort((a, b) => a.groups - b.groups || a.size - b.size || b.slot - a.slot)
    .map(({ slot }) => slot)
}

/** Of two slots about as large, the higher one goes: what is moved lies together then, as empty slots do. */
const sizeClass = (map: SlotMap, slot: number) => Math.floor(Math.log2(map.bytes(slot) + 1))

const harm = (map: SlotMap, slot: number, to: number) =>
  map.groupsOf(slot).reduce((sum, group) => sum + group.harm(map.owner(slot), to), 0)

function mostWanting(group: Group, mayHave: (master: number) => boolean): number | undefined {
  return group.shares
    .map((_, master) => master)
    .filter((master) => group.excess(master) < 0 && mayHave(master))
    .sort((a, b) => group.excess(a) - group.excess(b) || a - b)[0]
}

/** Evens out the number of slots: with empty ones, as far as there are enough; then with such as do a group no harm. */
function fillUp(map: SlotMap): void {
  const counts = map.counts()
  const shares = sharesOf(map.weights, counts)
  const excess = counts.map((count, i) => count - (shares[i] ?? 0))
  const movable = [...Array(ALL_SLOTS).keys()].filter((slot) => map.owner(slot) >= 0 && !map.fixed.has(slot))
  const slots = inOrder(map, movable, (slot) => map.bytes(slot))
  for (const slot of slots) {
    const from = map.owner(slot)
    if ((excess[from] ?? 0) <= 0) continue
    const emptied = map.weights[from] === 0
    // One after the other, so that each gets a run of slots that lie together.
    const to = excess.findIndex((each, master) => each < 0 && (emptied || harm(map, slot, master) <= 0))
    if (to < 0) continue
    map.move(slot, to)
    excess[from] = (excess[from] ?? 0) - 1
    excess[to] = (excess[to] ?? 0) + 1
  }
}
