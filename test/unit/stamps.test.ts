import { afterEach, expect, it, vi } from 'vitest'
import { namesFor, Stamps } from '../../src/queue/stamps.js'

afterEach(() => {
  vi.useRealTimers()
})

const byLengthAndText = (a: string, b: string) => a.length - b.length || (a < b ? -1 : 1)

it('ids of a producer in a partition sort as text in the order of naming, from batch to batch and within each', () => {
  const stamps = new Stamps()
  const ids = Array.from({ length: 20 }, () => {
    const next = namesFor(11, stamps.next(), 'producer1234')
    return Array.from({ length: 500 }, next)
  }).flat()
  expect(new Set(ids).size).toBe(ids.length)
  expect([...ids].sort(byLengthAndText)).toEqual(ids)
  expect(ids[0]).toMatch(/^b\.[0-9a-z]{10}produc00$/)
})

it('stamps go on when the clock is set back, or stands still', () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1) })
  const stamps = new Stamps()
  const given = [stamps.next(), stamps.next()]
  vi.setSystemTime(Date.UTC(2025, 0, 1))
  given.push(stamps.next(), stamps.next())
  expect([...new Set(given)].sort()).toEqual(given)
  vi.setSystemTime(Date.UTC(2084, 0, 1))
  given.push(stamps.next())
  expect([...given].sort()).toEqual(given)
  expect(given.every((stamp) => stamp.length === 10)).toBe(true)
})
