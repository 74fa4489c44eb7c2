import { describe, expect, it, test } from 'vitest'
import { noteOf } from '../../../src/cluster/owed/note-of.js'
import { callsIn, lostBy, namesOf, originOf } from '../../../src/cluster/owed/told.js'
import { explainNoReturn, NOT_ENDED, notBack, RunsStill } from '../../../src/cluster/rolling/no-return.js'
import { newRecord, type Record, takenUp, wasRestarted } from '../../../src/cluster/rolling/record.js'
import type { RollNode, Standing } from '../../../src/cluster/rolling/standing.js'
import { describeRoll, nextStep, type Position, wholeWay } from '../../../src/cluster/rolling/steps.js'
import { cannotFollow } from '../../../src/cluster/rolling/upgrade.js'
import { withoutShardIds } from '../../../src/cluster/shard-ids.js'
import type { ServerVersion } from '../../../src/cluster/version.js'

const node = (id: string, role: 'master' | 'replica', host = '10.0.0.1'): RollNode => ({
  id,
  host,
  port: 7000,
  name: id,
  up: true,
  role,
  runId: `run of ${id}`,
  server: { flavour: 'Redis', version: '7.0.15' },
  executable: null,
})
const [a, b] = [node('a', 'master'), node('b', 'master', '10.0.0.2')]
const [ra, ra2, rb] = [
  node('ra', 'replica', '10.0.0.2'),
  node('ra2', 'replica', '10.0.0.3'),
  node('rb', 'replica'),
]
const none: ReadonlySet<string> = new Set()
const position = (changes: Partial<Position> = {}): Position => ({
  shards: [
    { master: a, replicas: [ra, ra2] },
    { master: b, replicas: [rb] },
  ],
  done: none,
  down: none,
  empty: none,
  ...changes,
})
const record: Record = { version: 2, since: '', redisPath: null, before: {}, masters: ['a', 'b'], at: null }
const way = (from: Position, restoreRoles = false) => wholeWay(from, record, restoreRoles).map(describeRoll)

describe('a node that does not come back', () => {
  const config = new Map([['dir', '/data']])
  const explained = (error: Error) =>
    explainNoReturn(error, { node: ra, words: 'restart it', master: a, config }).message

  it('may not be able to read its data, where it does not answer', () => {
    expect(explained(new Error(notBack('ra', 3_000, 'refused')))).toMatch(
      /refused; .*move \/data\/appendonlydir away/,
    )
  })

  it.each([
    [NOT_ENDED, 'does not restart it: restart it'],
    ['it is loading its data (40 %)', 'or give it longer: --come-back-ms'],
  ])('runs: %s, so its files are in use', (seen, wayOut) => {
    const text = explained(new RunsStill(seen, ra, 3_000))
    expect(text).toContain(`ra did not come back within 3 s: ${seen}; it runs, so leave its files alone`)
    expect(text).toContain(wayOut)
    expect(text).not.toContain('appendonlydir')
  })
})

describe('the next step', () => {
  it('replicas of all shards, then each master, handed over to where the fewest masters are', () => {
    expect(way(position())).toEqual([
      'restart replica ra',
      'restart replica ra2',
      'restart replica rb',
      'ra2 takes over from a',
      'restart replica a',
      'rb takes over from b',
      'restart replica b',
    ])
    expect(way(position(), true).slice(7)).toEqual([
      'a gets its shard back from ra2',
      'b gets its shard back from rb',
    ])
  })

  it('is found from where it is, wherever that is', () => {
    expect(way(position({ done: new Set(['ra', 'ra2', 'rb', 'a']) }))).toEqual([
      'rb takes over from b',
      'restart replica b',
    ])
    const down = { ...rb, up: false, runId: null }
    const shards = [position().shards[0] ?? { master: a, replicas: [] }, { master: b, replicas: [down] }]
    expect(way(position({ shards, down: new Set(['rb']) }))[0]).toBe('start replica rb')
    expect(nextStep(position({ done: new Set(['a', 'b', 'ra', 'ra2', 'rb']) }), record, false)).toBeNull()
  })

  it('a master without slots is nobody’s, and needs no one in its place', () => {
    const shards = [{ master: a, replicas: [] }]
    expect(way(position({ shards, empty: new Set(['a']) }))).toEqual(['restart empty master a'])
  })
})

test('in a cluster of two versions, those that run the newer one are done', () => {
  const newer = { ...ra, server: { flavour: 'Valkey', version: '8.0.1' } } as const
  const standing = { nodes: [a, newer], shards: [{ master: a, replicas: [newer] }] } as unknown as Standing
  const fresh = newRecord(standing, null)
  expect(fresh.before).toEqual({ a: 'run of a', ra: null })
  expect([a, newer].map((each) => wasRestarted(each, fresh))).toEqual([false, true])
})

test('a node is done when it is another process than was written down, not when nothing was', () => {
  const nodes = [a, ra, { ...b, runId: null }]
  const standing = { nodes, shards: [] } as unknown as Standing
  const kept = { ...record, before: { a: 'an earlier run', b: 'an earlier run' } }
  expect(nodes.map((each) => wasRestarted(each, kept))).toEqual([true, false, false])
  expect(takenUp(kept, standing)?.before).toEqual({ ...kept.before, ra: 'run of ra' })
  expect(takenUp({ ...record, before: { of: 'another', cluster: null } }, standing)).toBeNull()
})

test.each<[ServerVersion['flavour'], string, ServerVersion['flavour'], string, RegExp | null]>([
  ['Redis', '7.0.15', 'Valkey', '8.0.1', null],
  ['Redis', '7.2.4', 'Valkey', '8.0.1', null],
  ['Redis', '7.0.15', 'Redis', '7.10.0', null],
  ['Valkey', '8.0.1', 'Valkey', '8.0.1', null],
  ['Valkey', '8.1.0', 'Valkey', '8.0.1', /downgrade/],
  ['Redis', '7.4.0', 'Valkey', '8.0.1', /up to 7\.2/],
  ['Valkey', '8.0.1', 'Redis', '8.0.0', /what Valkey has written/],
])('from %s %s to %s %s: %s', (oldFlavour, oldVersion, flavour, version, problem) => {
  const answer = cannotFollow({ flavour: oldFlavour, version: oldVersion }, { flavour, version })
  if (problem === null) expect(answer).toBeNull()
  else expect(answer).toMatch(problem)
})

test('what was told at run time: not what a new server has another default for', () => {
  const told = (config: object, users: string[]) => {
    const categories = new Map([['fast', ['get', 'ping']]])
    return { config: new Map(Object.entries(config)), users, categories }
  }
  const before = told({ maxmemory: '1', timeout: '5', backlog: '1mb', old: 'x' }, [
    'user default on nopass ~* &* +@all',
    'user x on #1 ~* +@all',
    'user y on #1 ~a ~b -@all +get +ping +set (~c -@all +info +time)',
  ])
  const after = told({ maxmemory: '2', timeout: '5', backlog: '10mb' }, [
    'user default on nopass sanitize-payload ~* &* +@all',
    'user y on sanitize-payload #1 ~b ~a -@all +set +@fast (~c -@all +time +info)',
  ])
  expect(namesOf(lostBy(before, after, null))).toEqual(['maxmemory', 'backlog', 'user x'])
  const defaults = new Map([['backlog', '1mb']])
  expect(namesOf(lostBy(before, after, { defaults }))).toEqual(['maxmemory', 'user x'])
  expect(namesOf(lostBy(before, after, { defaults: null }))).toEqual(['user x'])
})

describe('what was told at run time', () => {
  const calls = (...lines: string[]) =>
    callsIn(new Map(lines.map((line) => line.split(':', 2) as [string, string])))
  const files = (...edited: string[]) => ({
    mark: '',
    settings: new Set(edited),
    users: new Set(edited),
    lines: new Map(),
  })
  const SET = 'cmdstat_config|set:calls=2,usec=19,rejected_calls=0,failed_calls=1'

  it('nothing, of a process that counts no call that tells it something, and whose counts were not reset', () => {
    expect(calls()).toEqual({ settings: false, users: false, loaded: false, rewrite: false })
    expect(calls(SET)).toEqual({ settings: true, users: false, loaded: false, rewrite: false })
    expect(calls(SET.replace('calls=2', 'calls=1'))).toEqual(calls())
    expect(calls(SET.replace('set', 'get'))).toEqual(calls())
    expect(calls('cmdstat_acl|deluser:calls=1,failed_calls=0')).toMatchObject({ users: true })
    const reset = calls('cmdstat_config|resetstat:calls=1,usec=9,failed_calls=0')
    expect(reset).toEqual({ settings: true, users: true, loaded: true, rewrite: true })
  })

  it('what its files do not say otherwise by now; and where those cannot be seen, nobody knows', () => {
    const told = { calls: calls(SET), files: files('maxmemory', 'replica-priority') }
    expect(originOf(told, 'timeout')).toBe('told')
    expect(originOf(told, 'maxmemory')).toBe('file')
    expect(originOf(told, 'slave-priority')).toBe('file')
    expect(originOf(told, 'user x')).toBe('file')
    expect(originOf(told, 'user default')).toBe('told')
    expect(originOf({ ...told, files: null }, 'timeout')).toBe('unknown')
    expect(originOf({ ...told, files: { ...files(), settings: null } }, 'timeout')).toBe('unknown')
    expect(originOf({ files: null, calls: calls() }, 'timeout')).toBe('file')
    const rewritten = { ...told, calls: { ...told.calls, rewrite: true } }
    expect(originOf(rewritten, 'maxmemory')).toBe('unknown')
    expect(originOf(rewritten, 'timeout')).toBe('told')
  })
})

test('nodes.conf without ids of shards is otherwise the same', () => {
  const line =
    'a1 10.0.0.1:7000@17000,host,tls-port=0,shard-id=07fb master - 0 1 1 connected 0-5460\nvars currentEpoch 6'
  expect(withoutShardIds(line)).toBe(line.replace(',shard-id=07fb', ''))
})

test('what is written down of a node that is to be restarted has no secret in it', () => {
  const config = new Map([
    ['requirepass', 'wonderland'],
    ['masterauth', 'wonderland'],
    ['primaryauth', 'wonderland'],
    ['tls-key-file-pass', 'wonderland'],
    ['oss-cluster-password', 'wonderland'],
    ['tls-client-key-file-pass', ''],
    ['maxmemory', '100'],
  ])
  const users = ['user x on #a94a8fe5 #0b14d501 ~* +get (~y #1)', 'user y on nopass ~#z +get']
  const calls = { settings: true, users: true, loaded: false, rewrite: false }
  const note = noteOf(
    a,
    { config, users, categories: new Map(), calls, files: null },
    null,
    'rolling-restart',
  )
  expect(note).toMatchObject({
    settings: { maxmemory: '100' },
    secrets: ['requirepass', 'masterauth', 'primaryauth', 'tls-key-file-pass', 'oss-cluster-password'],
    users: ['user x on # # ~* +get (~y #1)', 'user y on nopass ~#z +get'],
  })
  expect(JSON.stringify(note)).not.toMatch(/wonderland|a94a8fe5|0b14d501/)
})
