import { describe, expect, it, test } from 'vitest'
import type { HostFacts, OnThisMachine } from '../../../src/check/host.js'
import type { Knock } from '../../../src/check/knock.js'
import { judge } from '../../../src/check/run.js'
import { CHECK_NAMES, type CheckName } from '../../../src/check/table.js'
import { AuthenticationError, TlsError } from '../../../src/errors.js'
import { type Imagined, WHOLE, withNode } from '../../helpers/observations.js'
import { type Changes, sceneBehind, sceneWith } from '../../helpers/scenes.js'

const namesIn = (changes: Changes) => [...new Set(judge(sceneWith(changes)).map(({ check }) => check))].sort()

test('nothing is found where nothing is wrong', () => {
  expect(judge(sceneWith())).toEqual([])
})

const GB = 1_073_741_824
const DAY_MS = 86_400_000
const fact = (port: number, facts: Partial<OnThisMachine> = {}) =>
  [`127.0.0.1:${port}`, { clockJumpS: 0, disk: undefined, ...facts }] as const
const onHost = (node: readonly [string, OnThisMachine], facts: Partial<HostFacts> = {}) => ({
  host: { overcommit: '1', hugePages: 'madvise', memoryBytes: 16 * GB, nodes: new Map([node]), ...facts },
})
const disk = (freeBytes: number, bytes: number) => ({ disk: { dir: '/data', freeBytes, bytes } })
const clocks = (aheadMs: Readonly<Record<number, number>>) => ({
  clocks: new Map(
    Object.entries(aheadMs).map(([port, ms]) => [`127.0.0.1:${port}`, { aheadMs: ms, giveOrTakeMs: 1 }]),
  ),
})
const hosts = (by: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(by).map(([id, host], index) => [id, { host, port: 7000 + index }]))
/** As all but the node itself see it. */
const seenByOthers = (id: string, flags: string) =>
  Object.fromEntries(
    WHOLE.filter((node) => node.id !== id).map((node) => [node.id, withNode(WHOLE, id, { flags })]),
  )
const everybodySees = (nodes: readonly Imagined[]) => Object.fromEntries(WHOLE.map(({ id }) => [id, nodes]))
const down = (...ids: readonly string[]) =>
  WHOLE.map((node) => (ids.includes(node.id) ? { ...node, down: true, flags: 'fail' } : node))
const nothingAt = (...ports: readonly number[]) => ({
  knocks: new Map(ports.map((port) => [`127.0.0.1:${port}`, { behind: 'nothing' } as const])),
})
const all = (fields: Readonly<Record<string, string>>) => ({ config: { all: fields } })
const functions = (libraries: readonly (readonly string[])[]) => ({
  functions: new Map(
    libraries.map((names, index) => [
      `127.0.0.1:${7000 + index}`,
      new Map(names.map((name) => [name, 'digest'])),
    ]),
  ),
})
const users = (rules: readonly string[]) => ({
  users: new Map(rules.map((rule, index) => [`127.0.0.1:${7000 + index}`, new Map([['worker', rule]])])),
})

/** What is found, and nothing else; last, what goes with it. */
const CASES: readonly (readonly [CheckName, string, Changes, ...CheckName[]])[] = [
  ['config-invalid', 'a fault', { ground: { configFaults: [{ path: 'redis.mode', message: 'wrong' }] } }],
  ['wrong-mode', 'a cluster where a single server is configured', { ground: { expected: 'single' } }],
  [
    'cluster-down',
    'most masters gone',
    { nodes: down('a', 'b'), state: 'fail', probed: nothingAt(7000, 7001) },
    ...(['nothing-listens', 'node-failed'] as const),
  ],
  ['node-failed', 'a replica', { nodes: down('ra'), probed: nothingAt(7003) }, 'nothing-listens'],
  ['bus-port', 'missed by one', { sees: { b: withNode(WHOLE, 'a', { flags: 'fail?' }) } }],
  [
    'announce-address',
    'announced as what is not there',
    {
      nodes: [...WHOLE, { id: 'a', port: 7000, down: true }],
      sees: everybodySees(WHOLE),
      at: { a: { host: '10.0.0.9', port: 7000 } },
    },
    'replica-on-its-masters-host',
    'majority-on-one-host',
  ],
  [
    'duplicate-node-id',
    'two processes, one id',
    {
      nodes: [...WHOLE, { id: 'ra', port: 7009, follows: 'a' }],
      sees: everybodySees(WHOLE),
      info: { 7009: { run_id: 'another' } },
    },
  ],
  [
    'node-left-out',
    'a replica that was reset',
    {
      sees: { rc: [{ id: 'rc', port: 7005 }], ...seenByOthers('rc', 'noaddr') },
      info: { rc: { role: 'master' } },
    },
    'handshake-pending',
  ],
  [
    'address-changed',
    'a replica that came back on another port',
    {
      nodes: [...withNode(WHOLE, 'rc', { port: 7015 }), { id: 'rc-was', port: 7005, down: true }],
      sees: { ...seenByOthers('rc', 'fail'), rc: withNode(WHOLE, 'rc', { port: 7015 }) },
    },
  ],
  ['views-differ', 'who is master', { sees: { b: withNode(WHOLE, 'ra', { follows: 'c' }) } }],
  ['handshake-pending', 'met', { sees: { a: [...WHOLE, { id: 'x', port: 7009, flags: 'handshake' }] } }],
  ['handshake-pending', 'without address', { sees: { a: withNode(WHOLE, 'rc', { flags: 'noaddr' }) } }],
  [
    'too-few-masters',
    'two',
    {
      nodes: [
        { id: 'a', port: 7000, slots: '0-8191' },
        { id: 'b', port: 7001, slots: '8192-16383' },
      ],
    },
  ],
  ['full-coverage', 'yes', all({ 'cluster-require-full-coverage': 'yes' })],
  ['slots-unassigned', 'ten', { nodes: withNode(WHOLE, 'a', { slots: '0-5450' }) }],
  ['open-slots', 'one side', { nodes: withNode(WHOLE, 'a', { slots: '0-5460 [93->-b]' }) }],
  [
    'wrong-node-keys',
    'two',
    { probed: { strays: new Map([['127.0.0.1:7000', { keys: 2, slots: [9_000] }]]) } },
  ],
  [
    'restore-unfinished',
    'by the node that knows',
    { probed: { restores: new Map([['127.0.0.1:7000', { folder: '/b', begunAt: 'today' }]]) } },
  ],
  ['replica-link-down', 'down', { info: { ra: { master_link_status: 'down' } } }],
  [
    'replica-link-down',
    'being synced',
    { info: { ra: { master_link_status: 'down', master_sync_in_progress: 1 } } },
  ],
  [
    'masterauth-missing',
    'none',
    { config: { all: { requirepass: 'x', masterauth: 'x' }, c: { masterauth: '' } } },
  ],
  [
    'masterauth-missing',
    'another',
    { config: { all: { requirepass: 'x', masterauth: 'x' }, rc: { masterauth: 'y' } } },
  ],
  ['master-without-replica', 'none', { info: { a: { connected_slaves: 0 } } }],
  ['replica-lag', '21 s', { info: { ra: { master_last_io_seconds_ago: 21 } } }],
  [
    'replica-on-its-masters-host',
    'one of three',
    { at: hosts({ a: 'h1', b: 'h2', c: 'h3', ra: 'h1', rb: 'h3', rc: 'h2' }) },
  ],
  [
    'majority-on-one-host',
    'two of three',
    { at: hosts({ a: 'h1', b: 'h1', c: 'h2', ra: 'h2', rb: 'h2', rc: 'h1' }) },
  ],
  [
    'maxmemory-reached',
    'over it',
    { info: { a: { used_memory: 300_000_000, used_memory_rss: 300_000_000 } } },
  ],
  ['memory-high', '80 %', { info: { a: { used_memory: 214_748_365, used_memory_rss: 300_000_000 } } }],
  ['maxmemory-unset', 'none', { info: { all: { maxmemory: 0 } } }],
  ['eviction-policy', 'lru', { info: { all: { maxmemory_policy: 'allkeys-lru' }, a: { evicted_keys: 7 } } }],
  ['clients-high', '95 %', { info: { a: { connected_clients: 9_490, cluster_connections: 10 } } }],
  ['aof-failing', 'write', { info: { a: { aof_last_write_status: 'err' } } }],
  ['rdb-failing', 'snapshot', { info: { a: { rdb_last_bgsave_status: 'err' } } }],
  [
    'persistence-off',
    'neither',
    { info: { all: { aof_enabled: 0 } }, ...all({ appendonly: 'no', save: '' }) },
  ],
  ['disk-low', '1 GB of 100', { probed: onHost(fact(7000, disk(GB, 100 * GB))) }],
  ['old-server', 'Redis 6.2', { info: { all: { redis_version: '6.2.14' } } }],
  ['old-server', 'Valkey 7.2', { info: { all: { redis_version: '7.2.4', valkey_version: '7.2.5' } } }],
  ['versions-differ', 'one of six', { info: { ra: { redis_version: '7.2.1' } } }],
  ['settings-differ', 'a time-out', { config: { ra: { 'cluster-node-timeout': '500' } } }],
  [
    'settings-differ',
    'a secret',
    { config: { all: { masterauth: 'x', masteruser: 'r' }, ra: { requirepass: 'x' } } },
  ],
  ['users-differ', 'rights', { probed: users(['+get', '+get', '+set']) }],
  ['functions-differ', 'one lacks a library', { probed: functions([['app'], ['app'], []]) }],
  ['unprotected', 'open to all', all({ 'protected-mode': 'no', bind: '* -::*' })],
  ['tls-half', 'clients alone', all({ 'tls-port': '7100', 'tls-cluster': 'no', 'tls-replication': 'yes' })],
  [
    'certificate-ends',
    'in 10 days',
    { probed: { certificates: new Map([['127.0.0.1:7000', 10 * DAY_MS]]) } },
  ],
  ['clock-differs', '2 s ahead', { probed: clocks({ 7000: 2_000, 7001: 3, 7002: -4 }) }],
  ['clock-jumped', 'an hour back', { probed: onHost(fact(7000, { clockJumpS: -3_600 })) }],
  [
    'overcommit',
    'guessed',
    { info: { a: { maxmemory: 9 * GB } }, probed: onHost(fact(7000), { overcommit: '0' }) },
  ],
  ['overcommit', 'counted', { probed: onHost(fact(7000), { overcommit: '2' }) }],
  [
    'transparent-huge-pages',
    'not opted out',
    { ...all({ 'disable-thp': 'no' }), probed: onHost(fact(7000), { hugePages: 'always' }) },
  ],
  ['node-swapping', 'half', { info: { a: { used_memory: 200_000_000, used_memory_rss: 100_000_000 } } }],
]

const cases = CASES.map(([name, title, changes, ...also]) => ({ name, title, changes, also }))

describe.each(cases)('$name: $title', ({ name, changes, also }) => {
  it('is named, and nothing else is', () => {
    expect(namesIn(changes)).toEqual([name, ...also].sort())
  })

  it('says what was seen, why it matters, and what to type', () => {
    const finding = judge(sceneWith(changes)).find(({ check }) => check === name)
    for (const text of [finding?.seen, ...(finding?.mend ?? [])]) {
      expect(text).toMatch(/\S/)
      expect(text).not.toMatch(/undefined|NaN|\[object|: : /)
    }
    expect(finding?.mend).not.toEqual([])
    expect(finding?.why).toMatch(/\.$/)
  })
})

const ANSWER = (text: string): Knock => ({ behind: 'answer', text })
const SILENT: readonly (readonly [CheckName, Knock, error?: Error])[] = [
  ['host-unknown', { behind: 'unknown host' }],
  ['nothing-listens', { behind: 'nothing' }],
  ['host-silent', { behind: 'nobody' }],
  ['node-frozen', { behind: 'silence' }],
  ['hangs-up', { behind: 'hang-up' }],
  ['tls-mismatch', { behind: 'silence' }, new TlsError('node', 'not-tls')],
  ['tls-mismatch', { behind: 'hang-up' }, new TlsError('node', 'tls-only')],
  ['certificate-untrusted', { behind: 'hang-up' }, new TlsError('node', 'unknown-authority')],
  ['certificate-untrusted', { behind: 'hang-up' }, new TlsError('node', 'wrong-host')],
  ['client-certificate', { behind: 'hang-up' }, new TlsError('node', 'client-certificate')],
  ['certificate-expired', { behind: 'hang-up' }, new TlsError('node', 'expired')],
  ['not-redis', ANSWER('HTTP/1.1 400 Bad Request')],
  ['not-redis', ANSWER('SSH-2.0-OpenSSH_9.2')],
  ['protected-mode', ANSWER('-DENIED Redis is running in protected mode because ...')],
  ['password-missing', ANSWER('-NOAUTH Authentication required.')],
  [
    'password-wrong',
    ANSWER('-NOAUTH Authentication required.'),
    refused('WRONGPASS invalid username-password pair'),
  ],
  ['rights-missing', ANSWER('+PONG'), refused('NOPERM this user has no permissions to run the info command')],
  ['clients-full', ANSWER('-ERR max number of clients reached')],
  ['node-loading', ANSWER('-LOADING Redis is loading the dataset in memory')],
  ['node-slow', ANSWER('+PONG'), new Error('silent for 1000 ms')],
]

function refused(text: string): Error {
  return new AuthenticationError('node', { cause: new Error(text) })
}

describe('an address that does not answer', () => {
  const silent = SILENT.map(([name, knocked, error]) => ({ name, knocked, error }))

  it.each(silent)('$name', ({ name, knocked, error }) => {
    const findings = judge(sceneBehind({ '10.0.0.5:7000': knocked }, error))
    expect(findings.map(({ check }) => check)).toEqual([name])
    expect(findings[0]).toMatchObject({ severity: 'error', nodes: ['10.0.0.5:7000'] })
    expect(findings[0]?.mend.join()).toMatch(/10\.0\.0\.5|SHARDQ_/)
  })

  it('is told once for all that are alike', () => {
    const nothing = { behind: 'nothing' } as const
    const findings = judge(sceneBehind({ 'h1:7000': nothing, 'h2:7000': nothing, 'h3:7000': nothing }))
    expect(findings).toMatchObject([{ check: 'nothing-listens', nodes: ['h1:7000', 'h2:7000', 'h3:7000'] }])
  })
})

test('a single server where a cluster is configured', () => {
  const scene = sceneWith({ ground: { expected: 'cluster' } })
  const [node] = scene.live
  if (!node) throw new Error('no node')
  const single = { ...node, view: [], info: new Map([...node.info, ['cluster_enabled', '0']]) }
  const alone = {
    ...scene,
    live: [single],
    cluster: [],
    members: [],
    observation: { atMs: 0, nodes: [single] },
  }
  expect(judge(alone).map(({ check, mend }) => [check, mend])).toEqual([
    ['wrong-mode', ['export SHARDQ_REDIS_URL=redis://127.0.0.1:7000']],
  ])
})

test('every check there is has a case here', () => {
  const named = new Set([...CASES.map(([name]) => name), ...SILENT.map(([name]) => name)])
  expect(CHECK_NAMES.filter((name) => !named.has(name))).toEqual([])
})

test('a password is compared and never shown', () => {
  const changes = {
    config: { all: { requirepass: 'hush-1', masterauth: 'hush-2' }, a: { requirepass: 'hush-3' } },
  }
  const findings = judge(sceneWith(changes))
  expect(findings.map(({ check }) => check)).toContain('settings-differ')
  expect(JSON.stringify(findings)).not.toContain('hush')
})

test('a node that plays dead to one is told of, not the one that misses all others', () => {
  const missesAll = WHOLE.map((node) => (node.id === 'c' ? node : { ...node, flags: 'fail?' }))
  const missesC = withNode(WHOLE, 'c', { flags: 'fail?' })
  const sees = { ...everybodySees(missesC), c: missesAll }
  const bus = judge(sceneWith({ sees })).filter(({ check }) => check === 'bus-port')
  expect(bus.map(({ nodes }) => nodes)).toEqual([['127.0.0.1:7002']])
})

test('a machine that lets servers grow no further than half of its memory needs no overcommit', () => {
  expect(namesIn({ probed: onHost(fact(7000), { overcommit: '0' }) })).toEqual([])
})
