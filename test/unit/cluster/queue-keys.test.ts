import { expect, it } from 'vitest'
import { partitionTag } from '../../../src/cluster/move/queue-keys.js'
import { countCopies, onceName, partitionKeys, queueKeys } from '../../../src/keys/keys.js'
import { slotOf } from '../../../src/keys/slots.js'

it('keys of a partition are told by their names', () => {
  const { tasks, never, once } = partitionKeys('a:b', '4x')
  for (const key of [tasks, never, once(onceName('partitions', undefined))])
    expect(partitionTag(Buffer.from(key))).toBe('4x')
})

it('copies of the number of partitions are ordinary keys: they are moved as they are, and their slots stay open', () => {
  for (const { key } of queueKeys('a:b')) expect(partitionTag(Buffer.from(key))).toBeUndefined()
})

it('the copies lie where they should, spread over the slots; a single server has one', () => {
  const copies = countCopies('a:b', 'cluster')
  for (const { key, slot, keys } of copies)
    expect([key, keys.probe, keys.never].map(slotOf)).toEqual([slot, slot, slot])
  const [, ...spread] = copies.map(({ slot }) => slot)
  const gaps = spread.slice(1).map((slot, i) => slot - (spread[i] ?? 0))
  expect(Math.min(...gaps)).toBeGreaterThan(2_000)
  expect(countCopies('a:b', 'single').map(({ key }) => key)).toEqual(['shardq:{a:b}:queue'])
})
