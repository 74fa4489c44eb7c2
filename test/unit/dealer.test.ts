import { expect, it } from 'vitest'
import type { Connection } from '../../src/connection/connection.js'
import type { Node } from '../../src/connection/node.js'
import { Backlog } from '../../src/queue/backlog.js'
import { Dealer } from '../../src/queue/dealer.js'
import type { Gate } from '../../src/queue/gate.js'
import type { Item } from '../../src/queue/item.js'
import type { ProducerLane } from '../../src/queue/producer-lane.js'

const TASKS = 2_000

/** Deals all there is to two masters of one partition each. @returns how many the second one got */
function dealtBeside(first: Partial<ProducerLane>): number {
  const masters = ['a', 'b'].map((name) => ({ name }) as Node)
  const topology = { masters: () => masters, ownerOf: (slot: number) => masters[slot] }
  const free = { sending: false, sentAtMs: 0, refused: false, paused: false, hasResend: false }
  const lanes = [first, {}].map(
    (changes, index) => ({ ...free, partition: { index, slot: index }, ...changes }) as ProducerLane,
  )
  const dealer = new Dealer(
    { topology } as unknown as Connection,
    { isOpen: () => true } as unknown as Gate,
    lanes,
  )
  // One that has a call under way is dealt no more.
  for (const lane of lanes) if (lane.sending) dealer.idle.delete(lane)
  const loose = new Backlog()
  for (let i = 0; i < TASKS; i++) loose.push({ bytes: 100, mayVisit: () => true } as unknown as Item)
  let dealt = 0
  for (let round = 0; round < 20; round++)
    dealer.deal(
      loose,
      () => true,
      (lane, items) => {
        if (lane === lanes[1]) dealt += items.length
      },
    )
  return dealt
}

it.each([
  ['that was refused a moment ago', { paused: true }],
  ['that has first to take what only it may have', { hasResend: true }],
  ['that keeps a batch waiting', { sending: true, sentAtMs: Number.NEGATIVE_INFINITY }],
])('a master %s does not hold up the other one', (_, first) => {
  expect(dealtBeside(first)).toBe(TASKS)
})

it('of two masters that take tasks, neither gets much more', () => {
  expect(Math.abs(dealtBeside({}) - TASKS / 2)).toBeLessThanOrEqual(500)
})
