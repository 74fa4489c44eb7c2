import { describe, expect, it } from 'vitest'
import { parseClusterNodes } from '../../src/connection/cluster-view.js'
import { concernsTopology, faultOfReply, isCertain, parseAddress } from '../../src/connection/replies.js'

describe('error replies', () => {
  it.each([
    ['MOVED 3999 127.0.0.1:6381', 'moved'],
    ['ASK 3999 127.0.0.1:6381', 'ask'],
    ['TRYAGAIN Multiple keys request during rehashing of slot', 'tryagain'],
    ['CLUSTERDOWN The cluster is down', 'clusterdown'],
    ["READONLY You can't write against a read only replica.", 'readonly'],
    ['LOADING Redis is loading the dataset in memory', 'loading'],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'masterdown'],
    ['BUSY Redis is busy running a script.', 'busy'],
    ["OOM command not allowed when used memory > 'maxmemory'.", 'oom'],
    ['NOREPLICAS Not enough good replicas to write.', 'noreplicas'],
    [
      'MISCONF Redis is configured to save RDB snapshots, but it is currently not able to persist on disk.',
      'misconf',
    ],
    ['NOSCRIPT No matching script. Please use EVAL.', 'noscript'],
    ['NOAUTH Authentication required.', 'denied'],
    ['WRONGPASS invalid username-password pair or user is disabled.', 'denied'],
    ["NOPERM this user has no permissions to run the 'eval' command", 'denied'],
    ['ERR unknown command', 'rejected'],
    ['WRONGTYPE Operation against a key holding the wrong kind of value', 'rejected'],
  ] as const)('%s', (text, kind) => {
    const fault = faultOfReply(new Error(text))
    expect(fault.kind).toBe(kind)
    // What the server answers, it answers instead of carrying the command out; an error in a script may come after half of it.
    expect(isCertain(fault)).toBe(kind !== 'rejected')
  })

  it.each([
    // Redis 7.0, and later ones.
    "ERR The user executing the script can't run this command or subcommand script: a8e0, on @user_script:1.",
    "NOPERM ACL failure in script: User p has no permissions to run the 'set' command script: a8e0",
  ])('%s: denied, and perhaps after half of it', (text) => {
    const fault = faultOfReply(new Error(text))
    expect(fault.kind).toBe('denied')
    expect(isCertain(fault)).toBe(false)
  })

  it('carry the address of a redirect, IPv6 too', () => {
    expect(faultOfReply(new Error('MOVED 1 10.0.0.1:7001'))).toMatchObject({
      address: { host: '10.0.0.1', port: 7001 },
    })
    expect(parseAddress('::1:7001')).toEqual({ host: '::1', port: 7001 })
    expect(parseAddress(':7001')).toBeUndefined()
    expect(parseAddress('host:port')).toBeUndefined()
  })

  it('are uncertain where the reply never came', () => {
    const error = new Error('x')
    expect(isCertain({ kind: 'lost', error })).toBe(false)
    expect(isCertain({ kind: 'timeout', error })).toBe(false)
    expect(isCertain({ kind: 'unreachable', error })).toBe(true)
    expect(concernsTopology({ kind: 'timeout', error })).toBe(true)
    expect(concernsTopology({ kind: 'oom', error })).toBe(false)
  })
})

describe('CLUSTER NODES', () => {
  it('is read with roles, epochs, slots and failures, but no mere suspicion; open slots are left out', () => {
    const view = parseClusterNodes(
      [
        'aaa 127.0.0.1:7000@17000 myself,master - 0 1 3 connected 0-99 200 [300->-bbb]',
        'bbb :7001@17001,host.example master,fail - 0 1 2 disconnected 100-199',
        'ccc 127.0.0.1:7002@17002 slave,fail? aaa 0 1 3 connected',
        '',
      ].join('\n'),
    )
    expect(view).toEqual([
      {
        id: 'aaa',
        address: { host: '127.0.0.1', port: 7000, hostname: undefined },
        introduced: false,
        myself: true,
        role: 'master',
        masterId: undefined,
        failed: false,
        epoch: 3,
        slots: [
          [0, 99],
          [200, 200],
        ],
      },
      {
        id: 'bbb',
        address: { host: 'host.example', port: 7001, hostname: 'host.example' },
        introduced: false,
        myself: false,
        role: 'master',
        masterId: undefined,
        failed: true,
        epoch: 2,
        slots: [[100, 199]],
      },
      {
        id: 'ccc',
        address: { host: '127.0.0.1', port: 7002, hostname: undefined },
        introduced: false,
        myself: false,
        role: 'replica',
        masterId: 'aaa',
        failed: false,
        epoch: 3,
        slots: [],
      },
    ])
  })
})
