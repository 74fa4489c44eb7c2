import type { ClusterConnectionOptions } from '../connection/options.js'
import type { Contender } from './client.js'
import { BenchQueues } from './leftovers.js'
import type { Measure } from './measures.js'
import { type BenchOptions, type BenchRow, bench } from './run.js'

export interface ClusterBenchOptions extends Pick<BenchOptions, 'onReading' | 'signal'> {
  readonly connection: ClusterConnectionOptions
  /** Tasks in a reading. Default 100,000. */
  readonly tasks?: number
  /** Size of a task's data. Default 100. */
  readonly bytes?: number
  /** Handlers at once. Default 500. */
  readonly concurrency?: number
  /** Default 5. */
  readonly rounds?: number
}

const here = (name: string) => {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf('.'))
  return new URL(`./${name}${extension}`, import.meta.url).href
}

/**
 * What a cluster does for shardq, beside the floor: queues of their own, on servers that may be at work for others. They
 * are removed after each reading, when it is interrupted too; and before the first, what runs have left that were killed.
 * @throws InterruptedError, NodeUnreachableError, AuthenticationError, QueueUnavailableError
 */
export async function benchCluster(options: ClusterBenchOptions): Promise<BenchRow[]> {
  const {
    connection,
    tasks = 100_000,
    bytes = 100,
    concurrency = 500,
    rounds = 5,
    onReading,
    signal,
  } = options
  const contenders: readonly Contender[] = [
    { name: 'shardq', module: here('shardq-client'), scale: 1, concurrency },
    { name: 'floor', module: here('floor-client'), scale: 1, concurrency },
  ]
  const measures: readonly Measure[] = [
    { kind: 'enqueue-many', bytes, tasks },
    { kind: 'enqueue', concurrency: 1, bytes, tasks: Math.min(tasks, 2_000) },
    { kind: 'enqueue', concurrency: 1_000, bytes, tasks },
    { kind: 'process', concurrency, bytes, tasks },
    { kind: 'both', concurrency, bytes, tasks },
    { kind: 'idle', bytes, tasks: Math.min(250, Math.ceil(tasks / 20)) },
  ]
  const queues = new BenchQueues(connection)
  await queues.removeStale()
  return bench({
    connection,
    begin: (queue) => queues.begin(queue),
    contenders,
    measures,
    rounds,
    clean: (queue) => queues.remove(queue),
    ...(onReading ? { onReading } : {}),
    ...(signal ? { signal } : {}),
  })
}
