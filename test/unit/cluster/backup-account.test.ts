import { expect, it } from 'vitest'
import { expiredIn } from '../../../src/cluster/backup/account.js'

const WHOLE = { inFile: 100, expiredAtLoad: 10, left: 88, same: 85, expired: 3, leftOut: 2 }

it('counts what has expired when the file was loaded, between two looks, and when it was looked for', () => {
  expect(expiredIn(WHOLE)).toBe(13)
  // Five ran out before they could be listed; of those that were compared, four since.
  expect(expiredIn({ ...WHOLE, same: 80, left: 79 })).toBe(18)
})

it('tells what is neither there nor expired', () => {
  expect(expiredIn({ ...WHOLE, same: 84 })).toBe(
    'of 100 keys that were backed up, 84 are in the cluster, 13 have expired and 2 were left out: 1 are missing',
  )
  expect(expiredIn({ ...WHOLE, same: 80, left: 86 })).toContain('15 have expired and 2 were left out: 3 are')
})

it('takes nothing for missing that was listed twice', () => {
  expect(expiredIn({ ...WHOLE, same: 88, left: 18 })).toBe(13)
})

it('takes what was left out for nothing that has expired, also where it is not there any more', () => {
  // One was removed from the server that reads the file, so it has 99 left; one of these is missing.
  const skipped = { inFile: 100, expiredAtLoad: 0, left: 99, same: 98, expired: 0, leftOut: 1 }
  expect(expiredIn(skipped)).toContain(' 0 have expired and 1 were left out: 1 are missing')
  expect(expiredIn({ ...skipped, same: 99 })).toBe(0)
})
