import { join } from 'node:path'
import { InvalidOptionError } from '../errors.js'
import { HOST } from './ports.js'
import type { NodeTls, Security } from './security/access.js'
import { CERTIFICATE_FILES } from './security/certificates.js'

/**
 * - `queue`, the default: as `guide`, except `maxmemory-policy noeviction` (a full shard refuses new tasks
 *   instead of silently deleting queued ones) and `cluster-require-full-coverage no` (while one shard fails
 *   over, the others go on serving).
 * - `guide`: the node configuration of the guide, to the letter.
 */
export type Profile = 'queue' | 'guide'

export const PROFILES: readonly Profile[] = ['queue', 'guide']

/** Redis settings by name; the value is written as it would stand in redis.conf, spaces and all. */
export type Settings = Readonly<Record<string, string>>

type Line = readonly [name: string, value: string]

/**
 * Settings on which finding, stopping and talking to the nodes rests; they cannot be overridden. A password or TLS that is
 * set by halves makes a cluster that looks well until a master dies.
 */
const OURS = new Set([
  ...['requirepass', 'masterauth', 'tls-port', 'tls-cluster', 'tls-replication', 'tls-auth-clients'],
  ...['tls-cert-file', 'tls-key-file', 'tls-key-file-pass', 'tls-ca-cert-file', 'tls-ca-cert-dir'],
  ...['tls-client-cert-file', 'tls-client-key-file', 'tls-client-key-file-pass'],
  'port',
  'dir',
  'logfile',
  'pidfile',
  'daemonize',
  'cluster-enabled',
  'cluster-config-file',
])

const PERSISTENCE: readonly Line[] = [
  ['appendonly', 'yes'],
  ['appendfsync', 'everysec'],
  ['save', '900 1'],
  ['save', '300 10'],
  ['save', '60 10000'],
]

function clusterLines(profile: Profile): Line[] {
  return [
    ['cluster-enabled', 'yes'],
    ['cluster-config-file', 'nodes.conf'],
    ['cluster-node-timeout', '5000'],
    ['cluster-require-full-coverage', profile === 'guide' ? 'yes' : 'no'],
  ]
}

/** What every server of ours gets beyond the guide: where it lives, and how it is run. */
function placeLines(dir: string): Line[] {
  return [
    ['dir', quote(dir)],
    ['logfile', quote(join(dir, LOG_FILE))],
    ['daemonize', 'no'],
    // A master would wait 5 s (the default) for more replicas before the first sync; ours know their number,
    // and `up` is to be ready within 3 s. Price: replicas that ask at different times are synced one by one.
    ['repl-diskless-sync-delay', '0'],
  ]
}

export const CONFIG_FILE = 'redis.conf'
export const LOG_FILE = 'redis.log'

/**
 * Where and how it is to be talked to: with TLS over TLS alone, by clients, masters, replicas and the bus. Every node has
 * `masterauth`, masters too: one without it is never a replica again once it has failed.
 */
function accessLines(port: number, { password, tls }: Security): Line[] {
  return [
    ...(tls === undefined ? ([['port', String(port)]] as const) : tlsLines(port, tls)),
    ['bind', HOST],
    ['protected-mode', 'yes'],
    ...(password === undefined
      ? []
      : ([
          ['requirepass', quote(password)],
          ['masterauth', quote(password)],
        ] as const)),
  ]
}

function tlsLines(port: number, { dir, authClients }: NodeTls): Line[] {
  const { ca, node } = CERTIFICATE_FILES
  return [
    ['port', '0'],
    ['tls-port', String(port)],
    ['tls-replication', 'yes'],
    ['tls-cluster', 'yes'],
    ['tls-auth-clients', authClients ? 'yes' : 'no'],
    ['tls-ca-cert-file', quote(join(dir, ca.certificate))],
    ['tls-cert-file', quote(join(dir, node.certificate))],
    ['tls-key-file', quote(join(dir, node.key))],
  ]
}

export interface NodeConfigOptions {
  readonly port: number
  /** Absolute path of the node's own folder. */
  readonly dir: string
  readonly profile: Profile
  /** Overrides; a name that is already set is replaced, another one is added. */
  readonly settings?: Settings
  /** Default: neither password nor TLS. */
  readonly security?: Security
}

/** The text of the redis.conf of one cluster node; with a password it is a secret. */
export function clusterNodeConfig(options: NodeConfigOptions): string {
  const { port, dir, profile, settings = {}, security = {} } = options
  return render(
    [
      ...accessLines(port, security),
      ...PERSISTENCE,
      ...clusterLines(profile),
      ['maxmemory', '256mb'],
      ['maxmemory-policy', profile === 'guide' ? 'allkeys-lru' : 'noeviction'],
      ...placeLines(dir),
    ],
    settings,
  )
}

/** The text of the redis.conf of a single server: the `queue` profile without a cluster. */
export function singleServerConfig(options: Omit<NodeConfigOptions, 'profile'>): string {
  const { port, dir, settings = {}, security = {} } = options
  return render(
    [
      ...accessLines(port, security),
      ...PERSISTENCE,
      ['maxmemory', '256mb'],
      ['maxmemory-policy', 'noeviction'],
      ...placeLines(dir),
    ],
    settings,
  )
}

function render(lines: readonly Line[], settings: Settings): string {
  const overrides = new Map<string, string>()
  for (const [name, value] of Object.entries(settings)) {
    const key = name.toLowerCase()
    if (!/^[a-z0-9-]+$/.test(key)) throw new InvalidOptionError('settings', `${name} is not a Redis setting`)
    if (OURS.has(key))
      throw new InvalidOptionError(
        'settings',
        `${key} is set by shardq and cannot be changed${insteadOf(key)}`,
      )
    if (/[\r\n]/.test(value)) throw new InvalidOptionError(`settings.${key}`, 'must be one line')
    overrides.set(key, value === '' ? '""' : value)
  }
  const kept = lines.filter(([name]) => !overrides.has(name))
  return [...kept, ...overrides].map(([name, value]) => `${name} ${value}\n`).join('')
}

function insteadOf(key: string): string {
  if (key.startsWith('tls-')) return ' by itself; use the option tls'
  return ['requirepass', 'masterauth'].includes(key) ? ' by itself; use the option password' : ''
}

/** Quotes a text for redis.conf, where a backslash in quotes starts an escape. */
function quote(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&')}"`
}
