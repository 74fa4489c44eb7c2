import type { Connection } from '../connection/connection.js'
import { parseInfo } from '../connection/info.js'
import type { Lane, Node } from '../connection/node.js'
import type { Command } from '../connection/socket.js'
import type { Partition } from '../keys/partitions.js'
import { parseCheckpoints, type StoredCheckpoint } from '../scripts/checkpoint.js'
import { depthCall } from '../scripts/depth.js'
import { inspectCall, type StoredTask } from '../scripts/inspect.js'
import { peekCall } from '../scripts/peek.js'
import type { Gate, ShardState } from './gate.js'
import { mergeNext } from './peek.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import type { Task } from './task-view.js'

export interface Depth {
  readonly ready: { readonly high: number; readonly medium: number; readonly low: number }
  readonly active: number
  readonly scheduled: number
  readonly dead: number
}

export interface ShardHealth {
  /** `host:port` of the master. */
  readonly master: string
  readonly state: ShardState
  readonly takesEnqueues: boolean
  /** Slots of 16,384 that it serves, and which of the queue's partitions are among them. */
  readonly slots: number
  readonly partitions: readonly number[]
  /** Bytes of the master's log that the replica has yet to confirm; null where unknown. */
  readonly replicas: readonly { readonly node: string; readonly lag: number | null }[]
  /** The smallest of the replicas' lags: what a failover would lose of unconfirmed writes. */
  readonly lag: number | null
  /** Settings that a queue should not run with. */
  readonly warnings: readonly string[]
}

export interface Health {
  readonly state: 'ok' | 'degraded' | 'down'
  readonly shards: readonly ShardHealth[]
}

const COUNTERS = ['enqueued', 'delivered', 'completed', 'failed', 'retried', 'dead', 'recovered'] as const

/** Looks at a queue without changing it. */
export class Inspection {
  readonly #lane: Lane
  /** Masters that keep their settings from us: each refusal would be a line in their ACL LOG. */
  readonly #closed = new WeakSet<Node>()

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly partitions: readonly Partition[],
    private readonly options: ResolvedQueueOptions,
  ) {
    const { connection: target } = options
    this.#lane = target.mode === 'cluster' && target.readFrom === 'replica' ? 'read' : 'inspect'
  }

  /** The task and the partition that has it. The partition in the id is asked first, the others only if it misses. */
  async find(id: string): Promise<{ partition: Partition; task: StoredTask } | null> {
    const named = /^([0-9a-z]+)\./.exec(id)?.[1]
    const first = named === undefined ? undefined : this.partitions[Number.parseInt(named, 36)]
    if (!first) return null
    const task = await this.#look(first, id)
    if (task) return { partition: first, task }
    const others = this.partitions.filter((partition) => partition !== first)
    const found = await Promise.all(
      others.map(async (partition) => ({ partition, task: await this.#look(partition, id) })),
    )
    for (const { partition, task } of found) if (task) return { partition, task }
    return null
  }

  async checkpoints(id: string): Promise<StoredCheckpoint[]> {
    const found = await this.find(id)
    return found && found.task.state !== 'completed' ? parseCheckpoints(found.task.checkpoints) : []
  }

  async depth(): Promise<Depth> {
    const parts = await Promise.all(
      this.partitions.map(async ({ slot, keys }) => {
        const { value } = await this.connection.call(this.queue, slot, depthCall(keys), {
          lane: this.#lane,
          timeoutMs: this.options.enqueueTimeoutMs,
        })
        return value
      }),
    )
    const sum = (state: 0 | 1 | 2 | 3 | 4 | 5) => parts.reduce((total, part) => total + part[state], 0)
    return {
      ready: { high: sum(0), medium: sum(1), low: sum(2) },
      scheduled: sum(3),
      dead: sum(4),
      active: sum(5),
    }
  }

  async peek(most: number, levels: readonly number[]): Promise<Task[]> {
    const next = await Promise.all(
      this.partitions.map(async ({ slot, keys }) => {
        const { value } = await this.connection.call(this.queue, slot, peekCall(keys, { most, levels }), {
          lane: this.#lane,
          timeoutMs: this.options.enqueueTimeoutMs,
        })
        return value
      }),
    )
    return mergeNext(next, most)
  }

  async counters(): Promise<Record<(typeof COUNTERS)[number], number>> {
    const totals = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<
      (typeof COUNTERS)[number],
      number
    >
    const rows = await Promise.all(
      this.partitions.map((partition) =>
        this.#commands(partition, [['HMGET', partition.keys.counters, ...COUNTERS, 'voided']]),
      ),
    )
    for (const [values] of rows) {
      COUNTERS.forEach((name, i) => {
        totals[name] += Number((values as (string | null)[])[i] ?? 0)
      })
      // Copies of tasks that are elsewhere, and counted there.
      totals.enqueued -= Number((values as (string | null)[])[COUNTERS.length] ?? 0)
    }
    return totals
  }

  async health(gate: Gate): Promise<Health> {
    const masters = this.connection.topology.masters()
    const shards = await Promise.all(masters.map((master) => this.#shard(master, gate)))
    const well = (shard: ShardHealth) =>
      shard.takesEnqueues && (this.options.connection.mode === 'single' || shard.replicas.length > 0)
    const state =
      shards.every(well) && shards.length > 0
        ? 'ok'
        : shards.some((shard) => shard.takesEnqueues)
          ? 'degraded'
          : 'down'
    return { state, shards }
  }

  async #shard(master: Node, gate: Gate): Promise<ShardHealth> {
    const { topology, commandTimeoutMs } = this.connection
    const questions: Command[] = [
      ['INFO', 'replication'],
      ['INFO', 'memory'],
      ['INFO', 'persistence'],
    ]
    if (!this.#closed.has(master)) questions.push(['CONFIG', 'GET', 'cluster-require-full-coverage'])
    const outcome = await master.send('probe', 2, questions, commandTimeoutMs)
    const [replication, memory, persistence, coverage] = outcome.ok ? outcome.replies : []
    if (coverage instanceof Error) this.#closed.add(master)
    const lags = typeof replication === 'string' ? replicaLags(replication) : new Map<string, number>()
    const replicas = topology
      .replicasOf(master)
      .map(({ name }) => ({ node: name, lag: lags.get(name) ?? null }))
    const known = replicas.map(({ lag }) => lag).filter((lag) => lag !== null)
    const state = gate.stateOf(master)
    return {
      master: master.name,
      state,
      takesEnqueues: state === 'open',
      slots: topology.slotCount(master),
      partitions: this.partitions
        .filter(({ slot }) => topology.ownerOf(slot) === master)
        .map(({ index }) => index),
      replicas,
      lag: known.length > 0 ? Math.min(...known) : null,
      warnings: warningsOf(master.name, memory, persistence, coverage),
    }
  }

  async #look(partition: Partition, id: string): Promise<StoredTask | null> {
    const leaseIds = await this.#leaseIds(partition)
    const { value } = await this.connection.call(
      this.queue,
      partition.slot,
      inspectCall(partition.keys, { id, leaseIds }),
      { lane: this.#lane, timeoutMs: this.options.enqueueTimeoutMs },
    )
    return value
  }

  async #leaseIds(partition: Partition): Promise<string[]> {
    const [ids] = await this.#commands(partition, [['ZRANGE', partition.keys.leases, 0, -1]])
    return ids as string[]
  }

  #commands(partition: Partition, commands: Parameters<Connection['commands']>[2]): Promise<unknown[]> {
    return this.connection.commands(this.queue, partition.slot, commands, {
      lane: this.#lane,
      timeoutMs: this.options.enqueueTimeoutMs,
    })
  }
}

/** INFO replication of a master: `slave0:ip=...,port=...,state=online,offset=...,lag=...` */
function replicaLags(info: string): Map<string, number> {
  const fields = parseInfo(info)
  const offset = Number(fields.get('master_repl_offset'))
  const lags = new Map<string, number>()
  for (const [name, value] of fields) {
    if (!/^slave\d+$/.test(name)) continue
    const parts = new Map(value.split(',').map((part) => part.split('=') as [string, string]))
    lags.set(`${parts.get('ip')}:${parts.get('port')}`, Math.max(0, offset - Number(parts.get('offset'))))
  }
  return lags
}

function warningsOf(node: string, memory: unknown, persistence: unknown, coverage: unknown): string[] {
  const warnings: string[] = []
  const policy = typeof memory === 'string' ? parseInfo(memory).get('maxmemory_policy') : undefined
  if (policy !== undefined && policy !== 'noeviction') {
    warnings.push(`${node} has maxmemory-policy ${policy}: a full shard deletes queued tasks; set noeviction`)
  }
  if (typeof persistence === 'string' && parseInfo(persistence).get('aof_enabled') === '0') {
    warnings.push(
      `${node} has appendonly no: restarted before a replica takes over, it comes back without its tasks, ` +
        'and its replicas drop them too; set appendonly yes',
    )
  }
  if (Array.isArray(coverage) && coverage[1] === 'yes') {
    warnings.push(
      `${node} has cluster-require-full-coverage yes: every shard stops while one fails over; set no`,
    )
  }
  return warnings
}
