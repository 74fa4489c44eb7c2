import { hostProblem, IN_URLS } from '../connection/host.js'
import type { ConnectionOptions } from '../connection/options.js'
import { InvalidOptionError } from '../errors.js'
import { checkInteger, checkKeys, checkOneOf, checkText } from './validate.js'

/**
 * When an enqueue counts as done. `async`: the master has it in memory. `replicated`: its in-sync replicas have
 * acknowledged it (which: `ReplicationOptions`). `fsynced`: master and those replicas have it on disk (WAITAOF, Redis >= 7.2);
 * on a single server that server's disk.
 */
export type Durability = 'async' | 'replicated' | 'fsynced'

export interface ReplicationOptions {
  /**
   * How many of a master's in-sync replicas have to confirm a write: `all`, `majority` (more than half), or so many (1 to 100;
   * all where there are fewer). In sync is every replica that the cluster has not given up (`fail`), unless it is still receiving
   * its first copy. Anything but `all` can lose acknowledged tasks when a partition promotes a replica that did not confirm.
   * Default `all`.
   */
  readonly confirm?: 'all' | 'majority' | number
  /** A shard with fewer in-sync replicas takes no tasks; `onShortfall` decides what then. 1 to 100, default 1. */
  readonly minReplicas?: number
}

export interface QueueOptions {
  readonly connection: ConnectionOptions
  /** Parts that the queue is split into, 1 to 1,024. Fixed when the queue is first opened. Default: as stored, or 12. */
  readonly partitions?: number
  /** Default `replicated` on a cluster, `async` on a single server. */
  readonly durability?: Durability
  /** Who confirms, with `durability` replicated or fsynced. On a single server `all` is one replica. */
  readonly replication?: ReplicationOptions
  /**
   * Remember completed tasks and their results for so long. Default: not at all. A task whose result has more than 1 KiB is not
   * remembered if the memory of its shard is full when it is completed.
   */
  readonly results?: { readonly ttlMs: number }
  /** Largest task data, result, or checkpoints of one task, in bytes of JSON. Default 1 MiB. */
  readonly maxPayloadBytes?: number
  /** Longest that an enqueue keeps trying, in ms. Default 15,000. */
  readonly enqueueTimeoutMs?: number
  /**
   * Ms for replicas to confirm before the task goes elsewhere. Default 100 (`fsynced`: 2,500). That is for up to 1 MiB that travels
   * together; beyond, replicas are given the time for 4 MB a second, in all at most half of `enqueueTimeoutMs`.
   */
  readonly confirmTimeoutMs?: number
  /**
   * Most bytes that wait in this process to be sent; more are refused with QueueFullError. Default 64 MiB. Of a cluster, tasks with a
   * key that wait for one master may take a quarter of it, and all tasks with a key three quarters: so a shard that is down
   * keeps out neither tasks without a key nor those of other shards.
   */
  readonly maxBufferedBytes?: number
  /** How long an idempotency key is remembered, in ms. Default 24 hours. */
  readonly idempotencyTtlMs?: number
  /**
   * After a time-out or a lost connection, a task without a key goes elsewhere at once (`move`; the first copy is
   * voided later), or stays with its partition until that answers (`wait`; no second copy). Default `move`.
   */
  readonly onUncertain?: 'move' | 'wait'
  /**
   * When no shard that may take a task has the replicas that have to confirm it: wait for one, and reject after `enqueueTimeoutMs`
   * (`reject`), or acknowledge on the master's word alone (`accept`; such a task is lost if that master is lost before it
   * has a replica again). Default `reject`.
   */
  readonly onShortfall?: 'reject' | 'accept'
}

export interface ResolvedQueueOptions {
  readonly connection: ConnectionOptions
  readonly partitions: number | undefined
  readonly durability: Durability
  readonly replication: Required<ReplicationOptions>
  readonly keepResultsMs: number
  readonly maxPayloadBytes: number
  readonly enqueueTimeoutMs: number
  readonly confirmTimeoutMs: number
  readonly maxBufferedBytes: number
  readonly idempotencyTtlMs: number
  readonly onUncertain: 'move' | 'wait'
  readonly onShortfall: 'reject' | 'accept'
}

export const DEFAULT_PARTITIONS = 12
/** How long a producer's last batch number is remembered in a partition. Longer than any resend goes on. */
export const REMEMBER_BATCH_MS = 3_600_000

const MOST_REPLICAS = 100
const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** @throws InvalidOptionError */
export function resolveQueueOptions(options: QueueOptions): ResolvedQueueOptions {
  checkKeys('options', options, [
    'connection',
    'partitions',
    'durability',
    'replication',
    'results',
    'maxPayloadBytes',
    'enqueueTimeoutMs',
    'confirmTimeoutMs',
    'maxBufferedBytes',
    'idempotencyTtlMs',
    'onUncertain',
    'onShortfall',
  ] satisfies (keyof QueueOptions)[])
  checkConnection(options.connection)
  const { partitions, results, connection } = options
  if (results !== undefined) checkKeys('options.results', results, ['ttlMs'])
  const durability =
    options.durability === undefined
      ? connection.mode === 'cluster'
        ? 'replicated'
        : 'async'
      : checkOneOf('options.durability', options.durability, ['async', 'replicated', 'fsynced'])
  const integer = (name: keyof QueueOptions, fallback: number, least: number, most?: number): number =>
    options[name] === undefined ? fallback : checkInteger(`options.${name}`, options[name], least, most)
  return {
    connection,
    partitions:
      partitions === undefined ? undefined : checkInteger('options.partitions', partitions, 1, 1_024),
    durability,
    replication: resolveReplication(options.replication, durability),
    keepResultsMs:
      results === undefined ? 0 : checkInteger('options.results.ttlMs', results.ttlMs, 1, YEAR_MS),
    maxPayloadBytes: integer('maxPayloadBytes', 1024 * 1024, 1, 256 * 1024 * 1024),
    enqueueTimeoutMs: integer('enqueueTimeoutMs', 15_000, 1, HOUR_MS / 2),
    confirmTimeoutMs: integer('confirmTimeoutMs', durability === 'fsynced' ? 2_500 : 100, 1, 60_000),
    maxBufferedBytes: integer('maxBufferedBytes', 64 * 1024 * 1024, 1_024),
    idempotencyTtlMs: integer('idempotencyTtlMs', 24 * HOUR_MS, 1, YEAR_MS),
    onUncertain:
      options.onUncertain === undefined
        ? 'move'
        : checkOneOf('options.onUncertain', options.onUncertain, ['move', 'wait']),
    onShortfall:
      options.onShortfall === undefined
        ? 'reject'
        : checkOneOf('options.onShortfall', options.onShortfall, ['reject', 'accept']),
  }
}

function resolveReplication(
  replication: ReplicationOptions | undefined,
  durability: Durability,
): Required<ReplicationOptions> {
  if (replication === undefined) return { confirm: 'all', minReplicas: 1 }
  const at = 'options.replication'
  checkKeys(at, replication, ['confirm', 'minReplicas'] satisfies (keyof ReplicationOptions)[])
  if (durability === 'async') {
    throw new InvalidOptionError(at, "nothing is confirmed with durability 'async'; set 'replicated'")
  }
  const { confirm = 'all', minReplicas = 1 } = replication
  return {
    confirm:
      typeof confirm === 'number'
        ? checkInteger(`${at}.confirm`, confirm, 1, MOST_REPLICAS)
        : checkOneOf(`${at}.confirm`, confirm, ['all', 'majority'] as const),
    minReplicas: checkInteger(`${at}.minReplicas`, minReplicas, 1, MOST_REPLICAS),
  }
}

const COMMON = [
  'mode',
  'username',
  'password',
  'tls',
  'connectionsPerNode',
  'commandTimeoutMs',
  'connectTimeoutMs',
]

function checkConnection(connection: ConnectionOptions): void {
  const at = 'options.connection'
  if (typeof connection !== 'object' || connection === null) {
    throw new InvalidOptionError(at, "expected { mode: 'cluster', nodes } or { mode: 'single', url }")
  }
  checkOneOf(`${at}.mode`, connection.mode, ['cluster', 'single'])
  if (connection.mode === 'cluster') {
    checkKeys(at, connection, [...COMMON, 'nodes', 'readFrom', 'natMap'])
    if (!Array.isArray(connection.nodes) || connection.nodes.length === 0) {
      throw new InvalidOptionError(`${at}.nodes`, 'expected at least one { host, port }')
    }
    connection.nodes.forEach((node, i) => {
      checkKeys(`${at}.nodes[${i}]`, node, ['host', 'port'])
      const problem = hostProblem(checkText(`${at}.nodes[${i}].host`, node.host, 255))
      if (problem !== undefined) throw new InvalidOptionError(`${at}.nodes[${i}].host`, problem)
      checkInteger(`${at}.nodes[${i}].port`, node.port, 1, 65_535)
    })
    if (connection.readFrom !== undefined)
      checkOneOf(`${at}.readFrom`, connection.readFrom, ['master', 'replica'])
  } else {
    checkKeys(at, connection, [...COMMON, 'url'])
    checkUrl(`${at}.url`, connection.url)
  }
  if (connection.connectionsPerNode !== undefined) {
    checkInteger(`${at}.connectionsPerNode`, connection.connectionsPerNode, 1, 64)
  }
  if (connection.commandTimeoutMs !== undefined)
    checkInteger(`${at}.commandTimeoutMs`, connection.commandTimeoutMs, 50, 60_000)
  if (connection.connectTimeoutMs !== undefined)
    checkInteger(`${at}.connectTimeoutMs`, connection.connectTimeoutMs, 50, 600_000)
}

/** The url may hold a password, so no message repeats it. */
function checkUrl(option: string, value: unknown): void {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') {
    const hint = typeof value === 'string' && value.includes('@') ? `; ${IN_URLS}` : ''
    throw new InvalidOptionError(option, `expected redis://host:port or rediss://host:port${hint}`)
  }
  // Commands to be typed have it in them.
  if (hostProblem(url.hostname) !== undefined)
    throw new InvalidOptionError(
      option,
      'its host: expected letters, digits, dots and hyphens, or an address',
    )
  // What was meant to be a password, and ends the host by a character of its own.
  if (`${url.pathname}${url.search}${url.hash}`.includes('@')) {
    throw new InvalidOptionError(option, `expected redis://host:port or rediss://host:port; ${IN_URLS}`)
  }
  if (!['', '/', '/0'].includes(url.pathname)) {
    throw new InvalidOptionError(option, 'only database 0 is used, as on a cluster; leave out the path')
  }
}
