import { describe, expect, it, test } from 'vitest'
import { explain } from '../../src/doctor/index.js'
import { shardq } from '../helpers/cli.js'

/** What servers and tools print, and which symptoms it is, and no others. */
const MESSAGES: readonly (readonly [message: string, ...symptoms: string[]])[] = [
  ["Can't open the append-only file: Permission denied", 'file-rights'],
  ["Fatal error, can't open config file '/etc/redis/redis.conf': Permission denied", 'file-rights'],
  ['EACCES: permission denied, open /var/lib/redis/dump.rdb', 'file-rights'],
  ['# Failover auth denied to 2d44c54e: its master is up', 'election-refused'],
  ['# Short read or OOM loading DB. Unrecoverable error, aborting now.', 'data-file-broken'],
  ['Bad file format reading the append only file: make a backup of your AOF file', 'data-file-broken'],
  ['(error) IOERR error or timeout reading to target instance', 'migrate-failed'],
  ['IOERR error or timeout writing to target instance', 'migrate-failed'],
  [
    'Timeout receiving bulk data from MASTER... If the problem persists try to set the "repl-timeout" parameter',
    'sync-timed-out',
  ],
  ['the lease ran out without an answer from the worker, and no attempt was left', 'lease-expired'],
  ['LeaseExpiredError', 'lease-expired'],
  ['*** FATAL CONFIG FILE ERROR (Redis 7.0.15) ***', 'server-config'],
  ['-DENIED Redis is running in protected mode because protected mode is enabled', 'denied'],
  ["-OOM command not allowed when used memory > 'maxmemory'.", 'oom'],
  ['Error: Command timed out', 'timed-out'],
  ['BUSYKEY Target key name already exists.'],
]

describe('doctor advises nothing that is wrong', () => {
  it.each(MESSAGES)('%s', (message, ...symptoms) => {
    expect(explain(message).map(({ symptom }) => symptom)).toEqual(symptoms)
  })
})

test('a message that begins with a minus, as servers say it, is no option; one that was mistyped is', async () => {
  const node = ['--node', '127.0.0.1:1', '--timeout-ms', '100', '--json']
  const message = "-READONLY You can't write against a read only replica."
  const [quoted, words, ...wrong] = await Promise.all([
    shardq(['doctor', message, ...node]),
    shardq(['doctor', ...message.split(' '), ...node]),
    shardq(['doctor', '--nod', '127.0.0.1:1', '--json']),
    shardq(['doctor', '-x', '--json']),
  ])
  for (const { stdout } of [quoted, words]) {
    const { explanations } = JSON.parse(stdout) as { explanations: { symptom: string }[] }
    expect(explanations.map(({ symptom }) => symptom)).toEqual(['readonly'])
  }
  for (const { code, stderr } of wrong) expect({ code, stderr }).toEqual({ code: 2, stderr: '' })
})
