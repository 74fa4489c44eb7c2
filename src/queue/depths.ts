import { named } from '../named.js'
import type { Depth } from './inspection.js'
import type { PartitionAnswer, QueueSurvey, Survey } from './surveyor.js'

/** Of one queue; what partitions that did not answer have is missing in all of it. */
export interface QueueDepth extends Depth {
  readonly name: string
  readonly paused: boolean
  /** Ms since the oldest task that is next was enqueued; null when none is ready. */
  readonly oldestReadyMs: number | null
  readonly partitions: number
  /** Partitions that did not answer. */
  readonly silent: number
  /** Clients that wait for its tasks. */
  readonly consumers: number
  /** Since the queue was made: enqueued, delivered, completed, failed, retried, dead, recovered. */
  readonly counters: Readonly<Record<string, number>>
}

/** Of all queues together on one shard. */
export interface ShardDepth extends Depth {
  /** `host:port` of the master. */
  readonly shard: string
}

export interface Depths {
  readonly shards: readonly ShardDepth[]
  readonly queues: readonly QueueDepth[]
  /** Why it may not be all. */
  readonly error: string | null
  /** `host:port` of masters that did not answer; what they have is in no figure. */
  readonly silent: readonly string[]
  /** Queues of which nothing is known but the name. */
  readonly unread: readonly string[]
}

/** Adds up what all partitions say. */
export function depthsOf({
  queues,
  error,
  silent = [],
  unread = [],
}: Pick<Survey, 'queues' | 'error'> & Partial<Survey>): Depths {
  const answers = queues.flatMap(({ partitions }) => answered(partitions))
  const shards = [...new Set(answers.map(({ shard }) => shard))].sort()
  return {
    shards: shards.map((shard) => ({ shard, ...sumOf(answers.filter((each) => each.shard === shard)) })),
    queues: queues.map(depthOf),
    error: error?.message ?? (silent.length > 0 ? `no answer from ${silent.join(', ')}` : null),
    silent,
    unread,
  }
}

export function depthOf({ name, partitions }: QueueSurvey): QueueDepth {
  const answers = answered(partitions)
  const ages = answers.flatMap(({ agesMs }) => agesMs).filter((age) => age !== undefined)
  const counters = named<number>()
  for (const each of answers)
    for (const [counter, value] of each.counters) counters[counter] = (counters[counter] ?? 0) + value
  return {
    name,
    ...sumOf(answers),
    paused: answers.some(({ paused }) => paused),
    oldestReadyMs: ages.length === 0 ? null : Math.max(...ages),
    partitions: partitions.length,
    silent: partitions.length - answers.length,
    // A consumer waits on every partition, on each over one connection.
    consumers: Math.max(0, ...answers.map(({ consumers }) => consumers)),
    counters,
  }
}

const answered = (partitions: readonly (PartitionAnswer | undefined)[]) =>
  partitions.filter((each) => each !== undefined)

function sumOf(answers: readonly PartitionAnswer[]): Depth {
  const sum = (pick: (answer: PartitionAnswer) => number) =>
    answers.reduce((total, answer) => total + pick(answer), 0)
  return {
    ready: {
      high: sum(({ ready }) => ready[0]),
      medium: sum(({ ready }) => ready[1]),
      low: sum(({ ready }) => ready[2]),
    },
    active: Math.round(sum(({ active }) => active)),
    scheduled: sum(({ scheduled }) => scheduled),
    dead: sum(({ dead }) => dead),
  }
}
