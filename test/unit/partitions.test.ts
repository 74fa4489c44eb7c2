import { describe, expect, it } from 'vitest'
import { makePartitions, partitionOfKey, partitionSlots, visitingOrder } from '../../src/keys/partitions.js'
import { SLOT_COUNT, slotOf, tagForSlot } from '../../src/keys/slots.js'

/** The slot ranges that redis-cli and `shardq cluster up` give to n masters. */
function mastersOf(slots: readonly number[], masters: number): number[] {
  const counts = new Array<number>(masters).fill(0)
  for (const slot of slots) {
    const master = Array.from({ length: masters }, (_, i) =>
      Math.round(((i + 1) * SLOT_COUNT) / masters),
    ).findIndex((end) => slot < end)
    counts[master] = (counts[master] ?? 0) + 1
  }
  return counts
}

describe('partitions', () => {
  const names = Array.from({ length: 500 }, (_, i) => `queue-${i}`)

  it.each([1, 2, 3, 4, 6, 12])(
    '12 partitions fall to %i masters in equal shares, whatever the name',
    (masters) => {
      for (const name of names) {
        expect(mastersOf(partitionSlots(name, 12), masters), name).toEqual(
          new Array(masters).fill(12 / masters),
        )
      }
    },
  )

  it('differ by one at most where the number of masters does not divide them', () => {
    for (const name of names.slice(0, 100)) {
      for (const masters of [5, 7, 9]) {
        const counts = mastersOf(partitionSlots(name, 12), masters)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
    }
  })

  it('of small queues do not share slots', () => {
    const slots = new Set(names.map((name) => partitionSlots(name, 1)[0]))
    expect(slots.size).toBeGreaterThan(480)
  })

  it('have tags that hash to their slots', () => {
    for (const { keys, slot } of makePartitions('backtests', 192)) expect(slotOf(keys.tasks)).toBe(slot)
  })

  it('keep their keys for ever: what is on disk must be found again', () => {
    expect([0, 1, 5_461, 16_383].map(tagForSlot)).toEqual(['1bz', 'emj', '3zu', 'hia'])
    expect(partitionSlots('backtests', 3)).toEqual([830, 6_292, 11_753])
    expect(['a', 'customer-7', 'ключ'].map((key) => partitionOfKey(key, 12))).toEqual([3, 3, 6])
  })

  it.each([1, 2, 3, 5, 12, 48, 192])('are each visited once in a walk over %i', (count) => {
    expect([...visitingOrder(count)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: count }, (_, i) => i),
    )
  })
})
