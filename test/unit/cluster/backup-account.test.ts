import { expect, it } from 'vitest'
import { expiredIn } from '../../../src/cluster/backup/account.js'

const WHOLE = { inFile: 100, expiredAtLoad: 10, left: 90, same: 85, expired: 3, leftOut: 2 }

it('counts what has expired when the file was loaded, between two looks, and when it was looked for', () => {
  expect(expiredIn(WHOLE)).toBe(13)
  // Five ran out before they could be listed; of those that were compared, four since.
  expect(expiredIn({ ...WHOLE, same: 80, left: 81 })).toBe(18)
})

it('tells what is neither there nor expired', () => {
  expect(expiredIn({ ...WHOLE, same: 84 })).toBe(
    'of 100 keys that were backed up, 84 are in the cluster, 13 have expired and 2 were left out: 1 are missing',
  )
  expect(expiredIn({ ...WHOLE, same: 80, left: 88 })).toContain('15 have expired and 2 were left out: 3 are')
})

it('takes nothing for missing that was listed twice', () => {
  expect(expiredIn({ ...WHOLE, same: 88, left: 20 })).toBe(13)
})
