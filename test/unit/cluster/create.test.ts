import { describe, expect, it } from 'vitest'
import type { Candidate } from '../../../src/cluster/create/candidates.js'
import { judge } from '../../../src/cluster/create/obstacles.js'
import { parseClusterNodes, parseFields } from '../../../src/cluster/replies.js'
import { AuthenticationError } from '../../../src/errors.js'

interface Made {
  readonly ip?: string
  readonly host?: string
  readonly info?: string
  readonly epoch?: number
  readonly nodes?: string
  readonly config?: Readonly<Record<string, string>> | null
  readonly busOpen?: boolean
}

const ID = (number: number) => String(number).repeat(40)
const line = (number: number, address = `:7000@17000`, flags = 'myself,master', slots = '') =>
  `${ID(number)} ${address} ${flags} - 0 0 0 connected ${slots}\n`

/** An empty server that could be a node. */
function candidate(number: number, made: Made = {}): Candidate {
  const {
    ip = `10.0.0.${number}`,
    host = ip,
    info = '',
    epoch = 0,
    nodes = line(number),
    busOpen = true,
  } = made
  const config = made.config === null ? undefined : new Map(Object.entries(made.config ?? {}))
  const address = { host, port: 7000 }
  const name = `${host}:7000`
  return {
    ...{ name, address, ip, busPort: 17_000, busOpen },
    seen: {
      ...{ name, address, up: true, answeredInMs: 1, config },
      info: parseFields(`redis_version:7.0.15\nrun_id:run${number}\n${info}`),
      clusterInfo: parseFields(`cluster_my_epoch:${epoch}`),
      view: parseClusterNodes(nodes, ip),
    },
  }
}

const problems = (candidates: readonly Candidate[], username?: string) =>
  judge(candidates, { reset: false, username }).problems

it('has nothing against three empty servers', () => {
  expect(
    judge(
      [1, 2, 3].map((number) => candidate(number)),
      { reset: false },
    ),
  ).toEqual({
    problems: [],
    warnings: [],
    leftovers: [],
  })
})

describe('refused, with the way out', () => {
  it.each<[string, Made, RegExp]>([
    ['cluster-enabled no', { nodes: '' }, /has cluster-enabled no; set `cluster-enabled yes`/],
    ['keys', { info: 'db0:keys=7,expires=0,avg_ttl=0' }, /holds 7 keys; .*FLUSHALL/],
    ['an old server', { info: 'redis_version:6.2.1' }, /runs Redis 6\.2\.1/],
    ['slots', { nodes: line(1, undefined, undefined, '0-99') }, /still has slots or an epoch of it/],
    ['an epoch', { epoch: 4 }, /still has slots or an epoch of it.*--reset/],
    [
      'another cluster',
      { nodes: line(1) + line(9, '10.0.0.9:7000@17000', 'master') },
      /is in a cluster already, with 10\.0\.0\.9:7000; see it with/,
    ],
    ['no CONFIG', { config: null }, /does not let us use CONFIG/],
    ['the same node id', { nodes: line(2) }, /has the node id of 10\.0\.0\.2:7000.*CLUSTER RESET HARD/],
    ['the same address', { ip: '10.0.0.2' }, /is named twice/],
    ['the same server by another name', { host: 'db2', info: 'run_id:run2' }, /same server/],
    ['a closed bus', { busOpen: false }, /its cluster bus, 10\.0\.0\.1:17000, takes no connection/],
    ['the loopback', { ip: '127.0.0.1' }, /address of the loopback/],
    ['protected mode', { config: { 'protected-mode': 'yes' } }, /is in protected mode without a password/],
  ])('%s', (_, made, problem) => {
    const found = problems([candidate(2), candidate(3), candidate(1, made)])
    expect(found).toEqual([expect.stringMatching(problem)])
  })

  it('a name that nobody knows, and credentials that are refused', () => {
    const down = (host: string, ip: string | null, error: Error): Candidate => ({
      ...candidate(1),
      ...{ name: `${host}:7000`, ip, busOpen: null },
      seen: { name: `${host}:7000`, address: { host, port: 7000 }, up: false, error },
    })
    expect(problems([down('db9', null, new Error('getaddrinfo ENOTFOUND'))])).toEqual([
      expect.stringContaining('db9:7000: the name is known to nobody here'),
    ])
    expect(problems([down('10.0.0.1', '10.0.0.1', new AuthenticationError('10.0.0.1:7000'))])).toEqual([
      expect.stringContaining('check username and password'),
    ])
  })

  it('a password without masterauth, or with another; neither is shown', () => {
    const closed = { requirepass: 'wonderland', 'protected-mode': 'yes' }
    const found = problems([
      candidate(1, { config: { ...closed, masterauth: 'wonderland' } }),
      candidate(2, { config: closed }),
      candidate(3, { config: { ...closed, masterauth: 'looking-glass' } }),
    ])
    expect(found).toEqual([
      expect.stringContaining('10.0.0.2:7000 has no masterauth'),
      expect.stringContaining('10.0.0.3:7000 has a masterauth that is not the password'),
    ])
    expect(found.join()).not.toMatch(/wonderland|looking-glass/)
  })

  it('as an ACL user: masterauth has to be there, and protected mode is not judged', () => {
    const config = { 'protected-mode': 'yes', masteruser: 'replica', masterauth: 'secret' }
    expect(problems([candidate(1, { config })], 'admin')).toEqual([])
    expect(problems([candidate(1)], 'admin')).toEqual([expect.stringContaining('has no masterauth')])
  })
})

it('all of the loopback is one machine, and no problem', () => {
  expect(problems([candidate(1, { ip: '127.0.0.1' }), candidate(2, { ip: '127.0.0.2' })])).toEqual([])
})

it('warns of versions that differ, and of a policy that throws tasks away', () => {
  const { warnings } = judge(
    [
      candidate(1, { config: { 'maxmemory-policy': 'allkeys-lru' } }),
      candidate(2, {
        info: 'redis_version:7.2.4\nvalkey_version:8.0.1',
        config: { 'maxmemory-policy': 'noeviction' },
      }),
    ],
    { reset: false },
  )
  expect(warnings).toEqual([
    expect.stringMatching(
      /versions differ.*Redis 7\.0\.15 on 10\.0\.0\.1:7000; Valkey 8\.0\.1 on 10\.0\.0\.2:7000/,
    ),
    expect.stringContaining('10.0.0.1:7000 (allkeys-lru)'),
  ])
})

it('resets nodes that know only one another and hold nothing, and no others', () => {
  const half = candidate(1, { nodes: line(1) + line(2, '10.0.0.2:7000@17000', 'master') })
  expect(judge([half, candidate(2)], { reset: true })).toMatchObject({ problems: [], leftovers: [half] })
  const full = candidate(1, {
    ...{ nodes: line(1, undefined, undefined, '0-99') },
    info: 'db0:keys=1,expires=0',
  })
  expect(judge([full, candidate(2)], { reset: true })).toMatchObject({ leftovers: [] })
  expect(judge([full, candidate(2)], { reset: true }).problems).toHaveLength(2)
})
