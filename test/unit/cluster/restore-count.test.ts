import { expect, it } from 'vitest'
import type { KeyCount } from '../../../src/cluster/backup/count.js'
import { countFilled } from '../../../src/cluster/backup/surplus.js'
import type { Target } from '../../../src/cluster/backup/target.js'
import type { NodeLink } from '../../../src/cluster/link.js'
import { ownKeysOn } from '../../../src/cluster/own-keys.js'

/** A cluster that counts so, one time after the other, the last for ever. */
function counting(...counts: KeyCount[]) {
  let asked = 0
  const target: Pick<Target, 'count' | 'keys'> = {
    count: async () => counts[Math.min(asked++, counts.length - 1)] as KeyCount,
    keys: async function* () {},
  }
  return { target, asked: () => asked }
}

const EXPECTED: KeyCount = { all: 100, lasting: 60, withFieldTimes: 0 }

it('counts once where nothing is too many', async () => {
  const { target, asked } = counting({ ...EXPECTED, all: 90 })
  expect(await countFilled(target, EXPECTED, undefined)).toEqual({ ...EXPECTED, all: 90 })
  expect(asked()).toBe(1)
})

it('counts again what may have expired, and is there still', async () => {
  const { target } = counting({ ...EXPECTED, all: 105 }, EXPECTED)
  expect(await countFilled(target, EXPECTED, undefined)).toEqual(EXPECTED)
})

it('does not wait for what lasts for ever', async () => {
  const counted = { ...EXPECTED, all: 101, lasting: 61 }
  const { target, asked } = counting(counted)
  expect(await countFilled(target, EXPECTED, undefined)).toEqual(counted)
  expect(asked()).toBe(1)
})

it('counts again where a hash whose fields have run out is not known yet to last for ever', async () => {
  const { target } = counting({ all: 100, lasting: 59, withFieldTimes: 1 }, EXPECTED)
  expect(await countFilled(target, EXPECTED, undefined)).toEqual(EXPECTED)
})

it('a note that has run out between two questions is not there, rather than there for ever', async () => {
  const link = { bytes: async (command: string) => (command === 'TYPE' ? Buffer.from('string') : -2) }
  expect(await ownKeysOn(link as unknown as NodeLink)).toEqual([])
})
