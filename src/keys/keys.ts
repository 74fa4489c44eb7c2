import { partitionSlots, slotOf, tagForSlot } from './slots.js'

/**
 * Every key that the queue writes is built here, and nowhere else. All keys of a partition carry the same hash
 * tag and so live in one slot; `keyPatterns` covers them all in an access list.
 */
export interface PartitionKeys {
  /** LIST of task ids and names of bundles by priority (high, medium, low), next at the head. */
  readonly ready: readonly [string, string, string]
  /**
   * HASH task id -> record (see queue/task.ts), name of a bundle -> the records of its tasks, as lines. Every task that is
   * not completed has its record here.
   */
  readonly tasks: string
  /** HASH task id -> number of attempts used up. Only tasks that failed at least once. */
  readonly attempts: string
  /** HASH task id -> checkpoints, one per line. */
  readonly checkpoints: string
  /**
   * HASH of what the names of bundles (scripts/bundles.ts) stand for beyond one task each: in the ready lists `0`, `1` and `2`,
   * and in all leases `active`.
   */
  readonly bundled: string
  /** ZSET task id by the time it becomes ready, in ms of the server's clock. */
  readonly scheduled: string
  /** ZSET lease id by the time it runs out, in ms of the server's clock. */
  readonly leases: string
  /** ZSET dead task id by the time it died, in ms. */
  readonly dead: string
  /** HASH dead task id -> error as JSON. */
  readonly errors: string
  /** HASH task id -> what is remembered of a completed task. Only where the queue keeps results. */
  readonly results: string
  /** ZSET completed task id by the time it is forgotten, in ms. */
  readonly resultExpiry: string
  /**
   * HASH counter name -> number, since the queue was made; `wait:*` and `processing:*` are histograms (queue/timings.ts).
   * `enqueued` - `completed` - `removed` - `voided` is the number of tasks that are there.
   */
  readonly counters: string
  /** STRING, there while the queue is paused. */
  readonly paused: string
  /**
   * STRING, run id of the server in whose present life consumers have been let in (scripts/admit.lua): whether it was restarted since
   * it last handed out tasks.
   */
  readonly admitted: string
  /** STRING written to find out whether a replica confirms. */
  readonly probe: string
  /**
   * Never there, and the last key of every script of the partition. While a slot is moved, a server refuses a command of which
   * one key is not there, at both ends; so an open slot is a closed partition, and can be copied (docs/migration.md).
   */
  readonly never: string
  /** Channel (sharded pub/sub) that says: something became ready here. */
  readonly wake: string
  /** SET of the task ids and names of bundles held under one lease. */
  lease(leaseId: string): string
  /** STRING, the number and the stamp of the last batch that this producer stored here; expires. */
  producer(producerId: string): string
  /** STRING, the id of the task that was stored under an idempotency key (`onceName`); expires. */
  once(name: string): string
}

export function partitionKeys(queue: string, tag: string): PartitionKeys {
  const prefix = `shardq:${queue}:{${tag}}:`
  return {
    ready: [`${prefix}ready:high`, `${prefix}ready:medium`, `${prefix}ready:low`],
    tasks: `${prefix}tasks`,
    bundled: `${prefix}bundled`,
    attempts: `${prefix}attempts`,
    checkpoints: `${prefix}checkpoints`,
    scheduled: `${prefix}scheduled`,
    leases: `${prefix}leases`,
    dead: `${prefix}dead`,
    errors: `${prefix}errors`,
    results: `${prefix}results`,
    resultExpiry: `${prefix}results:expiry`,
    counters: `${prefix}counters`,
    paused: `${prefix}paused`,
    admitted: `${prefix}admitted`,
    probe: `${prefix}probe`,
    never: `${prefix}never`,
    wake: `${prefix}wake`,
    lease: (leaseId) => `${prefix}lease:${leaseId}`,
    producer: (producerId) => `${prefix}producer:${producerId}`,
    once: (name) => `${prefix}${name}`,
  }
}

const ONCE = 'once:'
const ONCE_IN = 'once-in:'

/**
 * What an idempotency key is called among the keys of its partition. With a partition key it is another one for each: else
 * it would depend on chance, which is which partition the two hash to, whether two tasks are one.
 */
export function onceName(idempotencyKey: string, partitionKey: string | undefined): string {
  // The length keeps `a` and `b:c` apart from `a:b` and `c`.
  return partitionKey === undefined
    ? ONCE + idempotencyKey
    : `${ONCE_IN}${partitionKey.length}:${partitionKey}:${idempotencyKey}`
}

/** What keys of a partition may be called: whole names, and what names begin with; and which of them expire. */
export interface KeyNames {
  readonly whole: ReadonlySet<string>
  readonly beginnings: readonly string[]
  isExpiring(key: string): boolean
}

/**
 * The names of all keys that a partition may have, for who looks for others (queue/verify.ts). Taken from `partitionKeys`, so that
 * what is added there is known here; `never` and the channel are no keys that are ever there.
 */
export function partitionKeyNames(keys: PartitionKeys): KeyNames {
  const { never, wake, ready, lease, producer, once, ...others } = keys
  const onces = [once(ONCE), once(ONCE_IN)]
  const expiring = [producer(''), ...onces, keys.probe]
  return {
    whole: new Set([...ready, ...Object.values(others)]),
    beginnings: [lease(''), producer(''), ...onces],
    isExpiring: (key) => expiring.some((beginning) => key.startsWith(beginning)),
  }
}

/** HASH of what holds for a whole queue: `partitions`. In the slot of the queue's name. */
export function queueKey(queue: string): string {
  return `shardq:{${queue}}:queue`
}

/** Copies of the number of partitions besides `queueKey`, on a cluster: spread evenly, whatever that number is. */
const COUNT_COPIES = 8

/** One place where the number of partitions is kept: HASH with `partitions`. */
export interface CountCopy {
  readonly key: string
  readonly slot: number
  /** Other keys of the queue in the same slot: `probe` and `never`. */
  readonly keys: PartitionKeys
}

/** Where the number of partitions is kept. The first decides between clients that make a queue at once. */
export function countCopies(queue: string, mode: 'cluster' | 'single'): CountCopy[] {
  const own = queueKey(queue)
  const first = { key: own, slot: slotOf(own), keys: partitionKeys(queue, queue) }
  if (mode === 'single') return [first]
  const others = partitionSlots(queue, COUNT_COPIES).map((slot) => {
    const tag = tagForSlot(slot)
    return { key: `shardq:${queue}:{${tag}}:partitions`, slot, keys: partitionKeys(queue, tag) }
  })
  return [first, ...others]
}

/**
 * Every key of a queue that is of no partition, the one that decides first; to be removed last, when a queue is. A client that is
 * still connected writes them again.
 */
export function queueKeys(queue: string): { readonly key: string; readonly slot: number }[] {
  return countCopies(queue, 'cluster').map(({ key, slot }) => ({ key, slot }))
}

/** SET of the names of all queues that were ever connected to. In a slot of its own, on one master. */
export const QUEUES_KEY = 'shardq:queues'

/**
 * Patterns of an access list that cover the keys of one queue, those of its partitions (and its channels) first, or of all
 * queues; not the list of all queues. Names have no braces, so no other queue's keys match, whatever it is called.
 */
export function keyPatterns(queue?: string): readonly [string, ...string[]] {
  if (queue === undefined) return ['shardq:*{*']
  return [partitionKeyPattern(queue), queueKey(literalPattern(queue))]
}

/** What every key of a queue's partitions begins with, and no other key. */
export function partitionKeyPrefix(queue: string): string {
  return `shardq:${queue}:{`
}

/** A pattern that matches just these keys. */
export function partitionKeyPattern(queue: string): string {
  return `${partitionKeyPrefix(literalPattern(queue))}*`
}

/** Characters of patterns may stand in names. */
function literalPattern(name: string): string {
  return name.replace(/[*?[\\]/g, '\\$&')
}
