import { describe, type FixStep, type Left } from '../fix/index.js'
import type { Refused } from './carry-out.js'
import type { Survey } from './survey.js'

/**
 * What is told as left in the end: what was refused, and what a rebalance that was stopped is in the middle of. Not what was refused at its end, when
 * it had been claimed, and is where it was to go by now.
 */
export function leftOf(
  refused: Refused,
  { masters, mends }: Pick<Survey, 'masters' | 'mends'>,
  interrupted: boolean,
): Left[] {
  const has = (id: string, slot: number) =>
    masters.some(({ node, slots }) => node.id === id && slots.includes(slot))
  const stayed = [...refused].flatMap(([slot, { to, ...left }]) => (has(to.id, slot) ? [] : [left]))
  return [...stayed, ...(interrupted ? mends.map(halfWay) : [])]
}

const halfWay = (mend: FixStep): Left => ({
  what: describe(mend),
  why: 'it was stopped in the middle; clients find every key, at one end or the other',
  remedy: 'again, the same command goes on; or to end this alone: shardq cluster fix',
})
