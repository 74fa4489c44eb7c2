import { describe, expect, it } from 'vitest'
import { type Content, planMoves, type Weighted } from '../../../src/cluster/balance/plan.js'
import { sharesOf } from '../../../src/cluster/balance/shares.js'
import { slotRanges } from '../../../src/cluster/form.js'
import { ALL_SLOTS, rangesOf, slotsIn } from '../../../src/cluster/slots.js'
import { partitionSlots } from '../../../src/keys/partitions.js'

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0)

/** `masters` of equal ranges, and `empty` ones besides. */
function cluster(masters: number, empty = 0): Weighted[] {
  const full = slotRanges(masters).map((range, i) => ({ id: `m${i}`, weight: 1, slots: slotsIn([range]) }))
  return [...full, ...Array.from({ length: empty }, (_, i) => ({ id: `new${i}`, weight: 1, slots: [] }))]
}

function contentsOf(queues: Readonly<Record<string, number>>, bytes = (_: number) => 1_000) {
  const contents = new Map<number, Content>()
  for (const [queue, partitions] of Object.entries(queues))
    for (const slot of partitionSlots(queue, partitions)) {
      const { keys = 0, groups = [] } = contents.get(slot) ?? {}
      contents.set(slot, { keys: keys + 10, bytes: bytes(slot), groups: [...groups, queue] })
    }
  return contents
}

function carriedOut(masters: readonly Weighted[], moves: ReturnType<typeof planMoves>): Weighted[] {
  const slots = new Map(masters.map(({ id, slots }) => [id, new Set(slots)]))
  for (const { slot, from, to } of moves) {
    if (!slots.get(from)?.delete(slot)) throw new Error(`slot ${slot} is not ${from}'s`)
    slots.get(to)?.add(slot)
  }
  return masters.map((master) => ({ ...master, slots: [...(slots.get(master.id) ?? [])] }))
}

const countsOf = (masters: readonly Weighted[]) => masters.map(({ slots }) => slots.length)
const partitionsOf = (masters: readonly Weighted[], queue: string, count: number) => {
  const partitions = new Set(partitionSlots(queue, count))
  return masters.map(({ slots }) => slots.filter((slot) => partitions.has(slot)).length)
}
const spread = (counts: readonly number[]) => Math.max(...counts) - Math.min(...counts)
const fewest = (have: readonly number[], shares: readonly number[]) =>
  sum(have.map((each, i) => Math.max(0, each - (shares[i] ?? 0))))

describe('shares', () => {
  it('are rounded up where nothing needs to be moved then', () => {
    expect(sharesOf([1, 1, 1, 1, 1], [4, 4, 4, 0, 0])).toEqual([3, 3, 2, 2, 2])
    expect(sharesOf([1, 1, 1], [2, 2, 3])).toEqual([2, 2, 3])
    expect(sharesOf([1, 1, 1, 0, 0], [3, 3, 2, 2, 2])).toEqual([4, 4, 4, 0, 0])
  })

  it('go by weight', () => {
    expect(sharesOf([2, 1, 1], [4, 4, 4])).toEqual([6, 3, 3])
    expect(sharesOf([0.5, 0.25, 0.25], [10, 0, 0])).toEqual([5, 3, 2])
    expect(sharesOf([0, 1], [7, 0])).toEqual([0, 7])
  })

  it('whoever is ahead by a whole one has had its turn', () => {
    const ahead = [0, 0, 0, 0, 0]
    const total = [0, 0, 0, 0, 0]
    for (let queue = 0; queue < 20; queue++)
      for (const [i, share] of sharesOf([1, 1, 1, 1, 1], [4, 4, 4, 0, 0], ahead).entries())
        total[i] = (total[i] ?? 0) + share
    expect(sum(total)).toBe(240)
    expect(spread(total)).toBeLessThanOrEqual(4)
  })
})

describe('three masters, five, and three again', () => {
  const queues = { backtests: 12, optimise: 12, mail: 24, hourly: 6 }
  const contents = contentsOf(queues)
  const three = cluster(3, 2)
  const growing = planMoves(three, contents)
  const five = carriedOut(three, growing)
  const leaving = five.map((master, i) => ({ ...master, weight: i < 3 ? 1 : 0 }))
  const shrinking = planMoves(leaving, contents)
  const again = carriedOut(leaving, shrinking)

  it('equal slots, and each queue’s partitions within one of equal', () => {
    expect(countsOf(five).sort()).toEqual([3276, 3277, 3277, 3277, 3277])
    expect(countsOf(again)).toEqual([5462, 5461, 5461, 0, 0].sort((a, b) => b - a).slice(0, 5))
    for (const [queue, count] of Object.entries(queues)) {
      expect(spread(partitionsOf(five, queue, count))).toBeLessThanOrEqual(1)
      expect(spread(partitionsOf(again, queue, count).slice(0, 3))).toBeLessThanOrEqual(1)
      expect(partitionsOf(again, queue, count).slice(3)).toEqual([0, 0])
    }
  })

  it('with no more moves than it takes', () => {
    expect(growing).toHaveLength(3276 + 3277)
    expect(shrinking).toHaveLength(sum(countsOf(five).slice(3)))
    const occupied = growing.filter(({ slot }) => contents.has(slot))
    // 12: 4,4,4 to 2 or 3 each; 24: 8,8,8 to 4 or 5; 6: 2,2,2 to 1 or 2.
    expect(occupied.length).toBeLessThanOrEqual(6 + 6 + 10 + 3)
  })

  it('what is moved lies together', () => {
    for (const { slots } of five) expect(rangesOf(slots).length).toBeLessThan(3 * contents.size)
  })

  it('a cluster in balance is left alone', () => {
    expect(planMoves(five, contents)).toEqual([])
    expect(planMoves(cluster(3), contents)).toEqual([])
  })
})

it('by weight, one master emptied', () => {
  const masters = cluster(4).map((master, i) => ({ ...master, weight: [2, 1, 1, 0][i] ?? 0 }))
  const contents = contentsOf({ q: 12 })
  const after = carriedOut(masters, planMoves(masters, contents))
  expect(countsOf(after)).toEqual([8192, 4096, 4096, 0])
  expect(partitionsOf(after, 'q', 12)).toEqual([6, 3, 3, 0])
})

it('of partitions, the small ones go', () => {
  const large = new Set(partitionSlots('q', 12).slice(2, 4))
  const contents = contentsOf({ q: 12 }, (slot) => (large.has(slot) ? 10_000_000 : 1_000))
  const moved = planMoves(cluster(3, 3), contents).map(({ slot }) => slot)
  expect(moved.filter((slot) => contents.has(slot))).toHaveLength(6)
  expect(moved.filter((slot) => large.has(slot))).toEqual([])
})

it('every slot with keys of something else', () => {
  const contents = new Map(
    Array.from({ length: ALL_SLOTS }, (_, slot) => [slot, { keys: 3, bytes: 300, groups: ['other'] }]),
  )
  const masters = cluster(3, 2)
  const began = performance.now()
  const moves = planMoves(masters, contents)
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(spread(countsOf(carriedOut(masters, moves)))).toBe(1)
  expect(moves).toHaveLength(3276 + 3277)
})

describe('any cluster, any queues', () => {
  // A multiplicative generator, so that what fails can be run again.
  const numbers = (seed: number) => () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }

  it.each(Array.from({ length: 40 }, (_, i) => i + 1))('seed %i', (seed) => {
    const random = numbers(seed * 7_919)
    const upTo = (most: number) => Math.floor(random() * most)
    const count = 3 + upTo(6)
    const slots: number[][] = Array.from({ length: count }, () => [])
    // Some in blocks, as after several moves; some by chance.
    const block = 1 + upTo(500)
    for (let at = 0; at < ALL_SLOTS; at += block)
      slots[upTo(count)]?.push(...slotsIn([[at, Math.min(ALL_SLOTS, at + block) - 1]]))
    const masters = slots.map((slots, i) => ({
      id: `m${i}`,
      slots,
      weight: i === 0 ? 1 : ([0, 1, 1, 2, 0.5][upTo(5)] ?? 1),
    }))
    const queues = Object.fromEntries(
      Array.from({ length: upTo(12) }, (_, i) => [
        `queue ${seed} ${i}`,
        [6, 12, 12, 16, 24, 7][upTo(6)] ?? 12,
      ]),
    )
    const contents = contentsOf(queues, () => upTo(1_000_000))
    const moves = planMoves(masters, contents)
    const after = carriedOut(masters, moves)
    const total = sum(masters.map(({ weight }) => weight))
    masters.forEach(({ weight }, i) => {
      const exact = (ALL_SLOTS * weight) / total
      expect(Math.abs((countsOf(after)[i] ?? 0) - exact)).toBeLessThan(1)
      for (const [queue, partitions] of Object.entries(queues)) {
        const off = (partitionsOf(after, queue, partitions)[i] ?? 0) - (partitions * weight) / total
        expect(Math.abs(off)).toBeLessThan(1)
      }
    })
    // Swaps: a partition that has to go where there are slots enough already makes an empty one come back.
    const shares = countsOf(after)
    expect(moves.length).toBeLessThanOrEqual(fewest(countsOf(masters), shares) + contents.size)
    expect(planMoves(after, contents)).toEqual([])
  })
})
