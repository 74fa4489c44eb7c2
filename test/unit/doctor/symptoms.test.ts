import { expect, it, test } from 'vitest'
import { CHECKS } from '../../../src/check/table.js'
import * as cluster from '../../../src/cluster/errors.js'
import { explain } from '../../../src/doctor/index.js'
import { SYMPTOMS } from '../../../src/doctor/symptoms/index.js'
import * as drill from '../../../src/drill/errors.js'
import * as queue from '../../../src/errors.js'

/** As servers, redis-cli, Node and shardq print them. */
const MESSAGES: readonly (readonly [message: string, symptom: string])[] = [
  [
    '10.0.0.5:7000 is not emptied: no other master has the library of functions app just so, and with it they would be lost; give them ...',
    'only-libraries',
  ],
  ['(error) CLUSTERDOWN The cluster is down', 'clusterdown'],
  ['CLUSTERDOWN Hash slot not served', 'clusterdown'],
  ['(error) MOVED 3999 127.0.0.1:7001', 'moved'],
  ['ReplyError: ASK 3999 127.0.0.1:7002', 'ask'],
  ['TRYAGAIN Multiple keys request during rehashing of slot', 'tryagain'],
  ["CROSSSLOT Keys in request don't hash to the same slot", 'crossslot'],
  ['(error) NOAUTH Authentication required.', 'noauth'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'wrongpass'],
  ["NOPERM this user has no permissions to run the 'info' command", 'noperm'],
  ["ERR The user executing the script can't run this command or subcommand script: a8e0", 'noperm'],
  [
    "NotPermittedError: 10.0.0.5:7000 does not permit its user to run 'config|get'; what each role needs: ...",
    'not-permitted',
  ],
  ['DENIED Redis is running in protected mode because protected mode is enabled', 'denied'],
  ["OOM command not allowed when used memory > 'maxmemory'.", 'oom'],
  [
    'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
    'misconf',
  ],
  ["READONLY You can't write against a read only replica.", 'readonly'],
  ['LOADING Redis is loading the dataset in memory', 'loading'],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'masterdown'],
  ['NOREPLICAS Not enough good replicas to write.', 'noreplicas'],
  ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'busy'],
  ['NOSCRIPT No matching script. Please use EVAL.', 'noscript'],
  ['ERR max number of clients reached', 'max-clients'],
  ["ERR unknown command 'EVALSHA_RO'", 'unknown-command'],
  ['ERR This instance has cluster support disabled', 'no-cluster'],
  ['Could not connect to Redis at 127.0.0.1:7000: Connection refused', 'connection-refused'],
  ['No connection could be made because the target machine actively refused it.', 'connection-refused'],
  ['Error: connect ECONNREFUSED 127.0.0.1:7000', 'connection-refused'],
  ['Error: Command timed out', 'timed-out'],
  ['getaddrinfo ENOTFOUND redis-1', 'unknown-host'],
  ['connect EHOSTUNREACH 172.18.0.2:6379', 'unroutable'],
  ['Connection is closed.', 'hang-up'],
  [
    'Warning: Could not create server TCP listening socket *:7000: bind: Address already in use',
    'address-in-use',
  ],
  ['Waiting for the cluster to join', 'waiting-to-join'],
  ['[ERR] Not all 16384 slots are covered by nodes.', 'slots-not-covered'],
  ['[ERR] Node 127.0.0.1:7000 is not empty. Either the node already knows other nodes', 'node-not-empty'],
  ['Manual failover timed out.', 'failover-timed-out'],
  ['Currently unable to failover: Disconnected from master for longer than allowed.', 'replica-too-old'],
  ["Can't save in background: fork: Cannot allocate memory", 'overcommit'],
  ['WARNING Memory overcommit must be enabled!', 'overcommit'],
  ['you have Transparent Huge Pages (THP) support enabled in your kernel', 'huge-pages'],
  [
    'Error accepting a client connection: error:0A00010B:SSL routines::wrong version number',
    'tls-on-one-side',
  ],
  [new queue.TlsError('10.0.0.5:7000', 'not-tls').message, 'tls-on-one-side'],
  [new queue.TlsError('10.0.0.5:7000', 'tls-only').message, 'tls-on-one-side'],
  [new queue.TlsError('10.0.0.5:7000', 'handshake').message, 'tls-on-one-side'],
  ['self-signed certificate in certificate chain', 'unknown-authority'],
  ['unable to verify the first certificate', 'unknown-authority'],
  [
    'Could not connect to Redis at 10.0.0.5:7000: SSL_connect failed: certificate verify failed',
    'unknown-authority',
  ],
  [new queue.TlsError('10.0.0.5:7000', 'unknown-authority').message, 'unknown-authority'],
  ['certificate has expired', 'certificate-expired'],
  [new queue.TlsError('10.0.0.5:7000', 'expired').message, 'certificate-expired'],
  [
    "Hostname/IP does not match certificate's altnames: IP: 10.0.0.5 is not in the cert's list: ",
    'certificate-of-another-host',
  ],
  [new queue.TlsError('10.0.0.5:7000', 'wrong-host').message, 'certificate-of-another-host'],
  ['SSL routines:ssl3_read_bytes:tlsv13 alert certificate required', 'client-certificate'],
  [
    'Error accepting a client connection: error:0A0000C7:SSL routines::peer did not return a certificate',
    'client-certificate',
  ],
  [new queue.TlsError('10.0.0.5:7000', 'client-certificate').message, 'client-certificate'],
  ['Write error saving DB on disk: No space left on device', 'disk-full'],
  [
    'fix has to wait: rebalance has been running on this cluster since 2026-01-01T10:00:00.000Z (process 7 on a)',
    'operation-in-progress',
  ],
  [
    'the rolling restart stopped with 2 of 6 nodes done: replica 127.0.0.1:7004 is not linked to its master',
    'rolling-stopped',
  ],
  ['rebalance lost its lock on the cluster (it could not be renewed for 20 s)', 'operation-lost'],
  ['what the cluster has as shardq:owed is not from shardq, which writes down there what', 'key-taken'],
  ['127.0.0.1:7000 is not removed, and nothing was changed:', 'node-refused'],
  ['the cluster does not take the lock for rebalance (CLUSTERDOWN Hash slot not served)', 'lock-unavailable'],
  ['no cluster was created, and nothing was changed', 'create-refused'],
  [
    '10.0.0.1:6379 does not permit CLUSTER SETSLOT, without which cluster fix cannot work',
    'administration-refused',
  ],
  ['no backup: slot 93 is open (migrating on 127.0.0.1:7000); look at it', 'backup-refused'],
  ['/b: no backup here, or one that was not finished: there is no backup.json', 'backup-folder'],
  [
    '/b: the backup is there, but may not survive a loss of power (EIO: i/o error, fsync)',
    'backup-unsettled',
  ],
  ['not restored: 127.0.0.1:7000 is not empty: it has k', 'restore-refused'],
  ['the restore is not complete: it was interrupted; do not start workers', 'restore-incomplete'],
]

it.each(MESSAGES)('%s', (message, symptom) => {
  const found = explain(message)
  expect(found.map((each) => each.symptom)).toContain(symptom)
  for (const { means, why, mend } of found) {
    expect(means).toMatch(/\S/)
    expect(means).not.toContain('undefined')
    expect(why).toMatch(/\.$/)
    expect(mend.length).toBeGreaterThan(0)
  }
})

test('the guide’s three issues by the guide’s names', () => {
  const guide = (text: string) => explain(text).flatMap(({ guide }) => guide ?? [])
  expect(guide('(error) CLUSTERDOWN The cluster is down')).toEqual(['Issue 1: "Cluster is DOWN"'])
  expect(guide('Could not connect to Redis at 127.0.0.1:7000: Connection refused')).toEqual([
    'Issue 2: "No connection could be made"',
  ])
  expect(guide('(error) MOVED 3999 127.0.0.1:7001')).toEqual(['Issue 3: "MOVED" Redirects'])
})

test('MOVED: which slot, and where it is', () => {
  expect(explain('(error) MOVED 3999 127.0.0.1:7001')[0]?.means).toContain('slot 3999')
  expect(explain('(error) MOVED 3999 127.0.0.1:7001')[0]?.means).toContain('127.0.0.1:7001')
})

test('an error within another one is explained as well', () => {
  const text = 'QueueUnavailableError: queue q is unavailable: 127.0.0.1:7000 is down: connect ECONNREFUSED'
  expect(explain(text).map(({ symptom }) => symptom)).toEqual(['queue-unavailable', 'connection-refused'])
})

test('every class of error of shardq is known by its name', () => {
  const names = [queue, cluster, drill].flatMap((module) => Object.keys(module))
  const classes = names.filter((name) => name.endsWith('Error') && name !== 'ShardqError')
  expect(classes.length).toBeGreaterThan(25)
  const known = (name: string) => Object.values(SYMPTOMS).some(({ pattern }) => pattern.test(name))
  expect(classes.filter((name) => !known(name))).toEqual([])
})

test('what is not known is not guessed', () => {
  expect(explain('TypeError: x is not a function')).toEqual([])
})

test('nothing of a message but slots and addresses is repeated', () => {
  const text = 'AuthenticationError: redis://user:hush@host refused the credentials; NOAUTH MOVED 1 h:1'
  expect(explain(text).length).toBeGreaterThan(1)
  expect(JSON.stringify(explain(text))).not.toContain('hush')
})

test('each symptom leads to checks that there are', () => {
  for (const { checks } of Object.values(SYMPTOMS))
    for (const name of checks) expect(Object.keys(CHECKS)).toContain(name)
})
