import { expect, test } from 'vitest'
import { slotRanges } from '../../../src/cluster/form.js'

test('3 masters get the ranges of the guide', () => {
  expect(slotRanges(3)).toEqual([
    [0, 5460],
    [5461, 10_922],
    [10_923, 16_383],
  ])
})

test.each([3, 4, 5, 6, 7, 16, 100, 1000])('%i masters share all slots without gap, evenly', (masters) => {
  const ranges = slotRanges(masters)
  let next = 0
  for (const [first, last] of ranges) {
    expect(first).toBe(next)
    next = last + 1
  }
  expect(next).toBe(16_384)
  const sizes = ranges.map(([first, last]) => last - first + 1)
  expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
})
