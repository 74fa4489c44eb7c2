import type { Colors } from 'picocolors/types.js'
import { PlainTable } from '../plain-table.js'
import type { DeadLetter } from '../queue/dead-letters.js'
import type { Depths, QueueDepth } from '../queue/depths.js'
import type { Depth } from '../queue/inspection.js'
import type { Task } from '../queue/task-view.js'
import { age, count } from './figures.js'

const DEPTH = ['ready', 'active', 'scheduled', 'dead']

/** Depth of all queues by shard, then queue by queue. */
export function renderDepths(
  depths: Depths,
  colors: Colors,
  { most = Number.POSITIVE_INFINITY }: { readonly most?: number } = {},
): string[] {
  const { shards, error } = depths
  const queues = depths.queues.length > most ? foremost(depths.queues, most) : depths.queues
  const more = depths.queues.length - queues.length
  const lines = error === null ? [] : incomplete({ ...depths, error }).map(colors.red)
  if (queues.length === 0) return [...lines, ...(error === null ? ['no queues'] : [])]
  const table = new PlainTable(['all queues on', ...DEPTH], { right: [1, 2, 3, 4] })
  for (const each of shards) table.push([each.shard, ...depthCells(each, colors)])
  return [
    ...(shards.length === 0 ? [] : table.lines()),
    ...renderQueues(queues, colors),
    ...(more > 0
      ? [colors.dim(`and ${more} queues more, with less to do; all of them: shardq queue list`)]
      : []),
    ...lines,
  ]
}

/** Why the figures are not all, whose are missing, and how to see what is wrong there. */
export function incomplete({
  error,
  silent,
  unread,
}: Pick<Depths, 'silent' | 'unread'> & { readonly error: string }): string[] {
  const names = unread.slice(0, 5).join(', ') + (unread.length > 5 ? ` and ${unread.length - 5} more` : '')
  return [
    `the queues could not be read in full: ${error}`,
    ...(unread.length > 0 ? [`known by name alone: ${names}`] : []),
    ...(silent.length > 0 ? ['look at that shard with: shardq cluster check'] : []),
  ]
}

/** In the picture of a cluster, queues come last and must not push the nodes off the screen. */
export const MOST_IN_PICTURE = 20

/** Those of which one would want to know first: with a fault, with dead tasks, with most to do. */
export function foremost(queues: readonly QueueDepth[], most: number): QueueDepth[] {
  const weight = ({ silent, dead, ready, active, scheduled }: QueueDepth) =>
    [silent, dead, ready.high + ready.medium + ready.low + active, scheduled] as const
  const byWeight = (a: QueueDepth, b: QueueDepth) => {
    const [one, other] = [weight(a), weight(b)]
    const at = one.findIndex((value, i) => value !== other[i])
    return at < 0 ? 0 : (other[at] ?? 0) - (one[at] ?? 0)
  }
  const kept = new Set([...queues].sort(byWeight).slice(0, most))
  return queues.filter((queue) => kept.has(queue))
}

export function renderQueues(queues: readonly QueueDepth[], colors: Colors): string[] {
  const table = new PlainTable(
    ['queue', 'ready', 'high', 'medium', 'low', 'active', 'scheduled', 'dead', 'oldest', 'consumers', ''],
    { right: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
  )
  for (const queue of queues) {
    const { high, medium, low } = queue.ready
    const [ready = '', ...others] = depthCells(queue, colors)
    table.push([
      queue.name,
      ready,
      ...[high, medium, low].map(count),
      ...others,
      queue.oldestReadyMs === null ? '' : age(queue.oldestReadyMs),
      String(queue.consumers),
      [
        ...(queue.paused ? [colors.yellow('paused')] : []),
        ...(queue.silent > 0 ? [colors.red(`${queue.silent} of ${queue.partitions} partitions silent`)] : []),
      ].join(', '),
    ])
  }
  return table.lines()
}

function depthCells(
  { ready: { high, medium, low }, active, scheduled, dead }: Depth,
  colors: Colors,
): string[] {
  return [
    count(high + medium + low),
    count(active),
    count(scheduled),
    dead > 0 ? colors.yellow(count(dead)) : '0',
  ]
}

/** Counters since each queue was made. */
export function renderCounters(queues: readonly QueueDepth[]): string[] {
  const names = ['enqueued', 'delivered', 'completed', 'failed', 'retried', 'dead', 'recovered']
  const table = new PlainTable(['since it was made', ...names], { right: names.map((_, i) => i + 1) })
  for (const { name, counters } of queues)
    table.push([name, ...names.map((counter) => count(counters[counter] ?? 0))])
  return table.lines()
}

export function renderTasks(tasks: readonly Task[], nowMs: number): string[] {
  const table = new PlainTable(['id', 'type', 'priority', 'age', 'attempts', 'data'], { right: [3, 4] })
  for (const { id, type, priority, enqueuedAt, attempt, maxAttempts, data } of tasks)
    table.push([id, type, priority, age(nowMs - enqueuedAt), `${attempt} of ${maxAttempts}`, onOneLine(data)])
  return table.lines()
}

export function renderDead(items: readonly DeadLetter[], nowMs: number): string[] {
  const table = new PlainTable(['id', 'type', 'died', 'attempts', 'error'], { right: [3] })
  for (const { id, type, diedAt, attempt, error } of items)
    table.push([
      id,
      type,
      `${age(nowMs - diedAt)} ago`,
      String(attempt),
      onOneLine(`${error.name}: ${error.message}`),
    ])
  return table.lines()
}

/** Texts of several lines are common in errors and data; here they are read on one. */
const onOneLine = (value: unknown) =>
  (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).replaceAll(/[\r\n\t]+/g, ' ')
