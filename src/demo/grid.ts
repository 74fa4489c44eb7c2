import { InvalidOptionError } from '../errors.js'
import type { Crossover } from './strategy.js'

export type Priority = 'high' | 'medium' | 'low'

/** What the queue carries: one back-test. */
export type DemoTasks = { backtest: Crossover }
export const QUEUE_NAME = 'backtests'

const FAST = { first: 5, count: 100 } as const
const SLOW = { first: 105, count: 200 } as const
/** Every pair of a fast average of 5 to 104 days and a slow one of 105 to 304. */
export const ALL_PAIRS = FAST.count * SLOW.count

/**
 * The day from which every strategy is judged: the first on which the longest average exists, so that all of
 * them, and buy-and-hold, are compared over the same days.
 */
export const FIRST_DAY = SLOW.first + SLOW.count - 2

/** `count` pairs, spread evenly over the grid when they are not all of it. */
export function makeGrid(count: number): Crossover[] {
  if (!Number.isInteger(count) || count < 1 || count > ALL_PAIRS) {
    throw new InvalidOptionError('--tasks', `expected a whole number from 1 to ${ALL_PAIRS}, got ${count}`)
  }
  return Array.from({ length: count }, (_, index) => {
    const cell = Math.floor((index * ALL_PAIRS) / count)
    return { fast: FAST.first + Math.floor(cell / SLOW.count), slow: SLOW.first + (cell % SLOW.count) }
  })
}

/** Of ten tasks two are urgent, five ordinary and three can wait. */
export function priorityOf(index: number): Priority {
  const place = index % 10
  return place < 2 ? 'high' : place < 7 ? 'medium' : 'low'
}
