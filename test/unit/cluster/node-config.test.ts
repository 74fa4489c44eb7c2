import { expect, test } from 'vitest'
import { clusterNodeConfig, singleServerConfig } from '../../../src/cluster/node-config.js'
import type { Security } from '../../../src/cluster/security/access.js'
import { InvalidOptionError } from '../../../src/errors.js'

const lines = (text: string) => text.trimEnd().split('\n')
const of = (profile: 'queue' | 'guide', settings = {}) =>
  lines(clusterNodeConfig({ port: 7000, dir: '/data/node_7000', profile, settings }))

const secured = (security: Security) =>
  lines(clusterNodeConfig({ port: 7000, dir: '/data/node_7000', profile: 'queue', security }))

/** The node configuration of the guide, line by line. */
const GUIDE = [
  'port 7000',
  'bind 127.0.0.1',
  'protected-mode yes',
  'appendonly yes',
  'appendfsync everysec',
  'save 900 1',
  'save 300 10',
  'save 60 10000',
  'cluster-enabled yes',
  'cluster-node-timeout 5000',
  'cluster-require-full-coverage yes',
  'maxmemory 256mb',
  'maxmemory-policy allkeys-lru',
]

test('profile guide has every line of the guide', () => {
  expect(of('guide')).toEqual(expect.arrayContaining(GUIDE))
})

test('profile queue differs from guide in two lines: nothing is evicted, shards fail alone', () => {
  const guide = of('guide')
  const queue = of('queue')
  expect(queue.filter((line) => !guide.includes(line))).toEqual([
    'cluster-require-full-coverage no',
    'maxmemory-policy noeviction',
  ])
  expect(guide.filter((line) => !queue.includes(line))).toEqual([
    'cluster-require-full-coverage yes',
    'maxmemory-policy allkeys-lru',
  ])
})

test('a single server has no cluster settings and evicts nothing', () => {
  const single = lines(singleServerConfig({ port: 7000, dir: '/data' }))
  expect(single.filter((line) => line.startsWith('cluster'))).toEqual([])
  expect(single).toContain('maxmemory-policy noeviction')
})

test('paths with spaces, quotes and backslashes survive', () => {
  const dir = 'C:\\My "Data"\\node'
  const line = lines(clusterNodeConfig({ port: 7000, dir, profile: 'queue' })).find((each) =>
    each.startsWith('dir '),
  )
  expect(line).toBe('dir "C:\\\\My \\"Data\\"\\\\node"')
})

test('settings replace every line of their name, or are added', () => {
  const config = of('queue', { save: '', 'cluster-node-timeout': '1000', 'lazyfree-lazy-user-del': 'yes' })
  expect(config.filter((line) => line.startsWith('save'))).toEqual(['save ""'])
  expect(config.filter((line) => line.startsWith('cluster-node-timeout'))).toEqual([
    'cluster-node-timeout 1000',
  ])
  expect(config).toContain('lazyfree-lazy-user-del yes')
})

test('a password is given to masters and replicas alike, or no failover would succeed', () => {
  const config = secured({ password: 'it"s \\ secret' })
  expect(config).toContain('requirepass "it\\"s \\\\ secret"')
  expect(config).toContain('masterauth "it\\"s \\\\ secret"')
})

test('TLS is for clients, replication and bus, and nothing is left in plain text', () => {
  const config = secured({ tls: { dir: '/certificates', authClients: true } })
  expect(config.filter((line) => line.startsWith('port'))).toEqual(['port 0'])
  expect(config.filter((line) => line.startsWith('tls-'))).toEqual([
    'tls-port 7000',
    'tls-replication yes',
    'tls-cluster yes',
    'tls-auth-clients yes',
    'tls-ca-cert-file "/certificates/ca.crt"',
    'tls-cert-file "/certificates/node.crt"',
    'tls-key-file "/certificates/node.key"',
  ])
})

/** The ways to have a password or TLS by halves, each of which looks well until a master dies. */
test.each([
  ['requirepass', 'secret'],
  ['masterauth', 'secret'],
  ['tls-port', '7000'],
  ['tls-cluster', 'no'],
  ['TLS-Replication', 'no'],
  ['tls-auth-clients', 'no'],
])('%s cannot be set by itself', (name, value) => {
  expect(() => of('queue', { [name]: value })).toThrow(/by itself; use the option (password|tls)$/)
})

test.each([
  ['port', '1'],
  ['dir', '/'],
  ['CLUSTER-ENABLED', 'no'],
  ['not a setting', 'x'],
  ['save', '1 1\nport 1'],
])('refuses the setting %s %j', (name, value) => {
  expect(() => of('queue', { [name]: value })).toThrow(InvalidOptionError)
})
