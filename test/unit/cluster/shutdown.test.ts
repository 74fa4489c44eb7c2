import { expect, it } from 'vitest'
import { cannotWrite, whyRefused } from '../../../src/cluster/shutdown.js'

const fields = (given: { readonly [name: string]: string }) => new Map(Object.entries(given))

it.each([
  [{ aof_last_write_status: 'err' }, 'cannot write to /d (aof_last_write_status:err)'],
  [
    { aof_last_write_status: 'ok', rdb_last_bgsave_status: 'err' },
    'cannot write to /d (rdb_last_bgsave_status:err)',
  ],
  // A first file for which there is no room is begun again and again.
  [{ aof_last_bgrewrite_status: 'err', aof_rewrite_in_progress: '1' }, '(aof_last_bgrewrite_status:err)'],
  [{ aof_rewrite_in_progress: '1', aof_last_bgrewrite_status: 'ok' }, 'wait until INFO persistence says'],
  [{ aof_rewrite_scheduled: '1' }, 'wait until INFO persistence says'],
  [{ aof_last_write_status: 'ok' }, 'could not save to /d, as its log there says'],
])('why a server that says %j refuses to end', (said, why) => {
  expect(whyRefused(fields(said), '/d')).toContain(why)
})

it('says nothing of a folder that takes what is written', () => {
  expect(cannotWrite(fields({ aof_last_write_status: 'ok', rdb_last_bgsave_status: 'ok' }), '/d')).toBeNull()
})

it('has the folder typed as one word', () => {
  expect(whyRefused(fields({ aof_last_write_status: 'err' }), '/my data')).toContain("df -h '/my data'")
})
