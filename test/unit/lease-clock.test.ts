import { expect, it } from 'vitest'
import { LeaseClock, nextStamp } from '../../src/queue/lease-clock.js'

function machine() {
  const at = { monotonic: 1_000, wall: 1_700_000_000_000 }
  const clock = new LeaseClock(
    () => at.monotonic,
    () => at.wall,
  )
  const start = clock.now()
  return {
    run: (ms: number) => {
      at.monotonic += ms
      at.wall += ms
    },
    suspend: (ms: number) => {
      at.wall += ms
    },
    setWall: (byMs: number) => {
      at.wall += byMs
    },
    passed: () => clock.now() - start,
  }
}

it('counts the time for which the machine was suspended', () => {
  const { run, suspend, passed } = machine()
  run(5_000)
  expect(passed()).toBe(5_000)
  suspend(60_000)
  run(10)
  expect(passed()).toBe(65_010)
  run(1_000)
  expect(passed()).toBe(66_010)
})

it('never goes back, also when the wall clock is set back', () => {
  const { run, suspend, setWall, passed } = machine()
  run(1_000)
  setWall(-3_600_000)
  expect(passed()).toBe(1_000)
  run(1_000)
  expect(passed()).toBe(2_000)
  suspend(30_000)
  expect(passed()).toBe(32_000)
})

it('is not moved by small corrections', () => {
  const { run, setWall, passed } = machine()
  for (let i = 0; i < 100; i++) {
    run(1_000)
    setWall(i % 2 === 0 ? 20 : -20)
  }
  expect(passed()).toBe(100_000)
})

it('stamps grow with each call, and begin at the wall clock', () => {
  const first = nextStamp(2_000_000_000_000)
  expect(first).toBe(2_000_000_000_000_000)
  expect(nextStamp(2_000_000_000_000)).toBe(first + 1)
  expect(nextStamp(1_000_000_000_000)).toBe(first + 2)
  expect(nextStamp(2_000_000_000_001)).toBe(first + 1_000)
})
