import type { LocalCluster } from '../cluster/index.js'
import type { ConnectionOptions } from '../connection/options.js'
import { TaskQueue } from '../index.js'
import { problemsOf } from '../queue/verify/report.js'
import { unlessAborted } from './abort.js'
import { drain } from './drain.js'
import { ALL_PAIRS, type DemoTasks, FIRST_DAY, makeGrid, QUEUE_NAME } from './grid.js'
import { type Killing, killHalfWay } from './kill.js'
import { Ledger } from './ledger.js'
import type { DemoOptions } from './options.js'
import { loadPrices } from './prices.js'
import { produce } from './producer.js'
import { type DemoReport, Leaderboard } from './report.js'
import { type Screen, showProgress } from './screen.js'
import { ShardWatch } from './shards.js'
import { buyAndHold, COST_PER_SIDE } from './strategy.js'
import { count, type Progress, Rate, Trace } from './view.js'
import { WorkerPool } from './worker-pool.js'

/** A master is killed half way, and its shard needs 6 to 9 s: the second half has to be longer than that. */
const SPREAD_OVER_MS = 25_000
/** Tasks that one worker process runs at once. */
const CONCURRENCY = 50

/**
 * Enqueues the grid while workers run it, kills a master when half of it is done, and goes on until all is done
 * and the queue is empty, or nothing more is to be expected.
 * @throws Error when a worker process dies, the last rejection when enqueueing fails for good, and the signal's
 *   reason when it fires
 */
export async function searchGrid(
  cluster: LocalCluster,
  options: DemoOptions,
  screen: Screen,
): Promise<DemoReport> {
  const pairs = makeGrid(options.tasks ?? ALL_PAIRS)
  const workers = options.workers ?? 2
  const connection: ConnectionOptions = { mode: 'cluster', nodes: cluster.seeds }
  const failure = new AbortController()
  const signal = AbortSignal.any([failure.signal, ...(options.signal ? [options.signal] : [])])
  const watching = new AbortController()

  const ledger = new Ledger()
  const leaders = new Leaderboard()
  const complaints = new Set<string>()
  const queue = new TaskQueue<DemoTasks>(QUEUE_NAME, { connection })
  // While a master is dead there is an error for every connection to it; the queue deals with them.
  queue.on('error', (error) => complaints.add(error.message))
  const shards = new ShardWatch(queue)
  const killing: Killing = { master: null, servedAgainAfterMs: null }
  const pool = new WorkerPool({
    count: workers,
    connection,
    concurrency: CONCURRENCY,
    onRuns: (runs) => {
      for (const run of runs) {
        ledger.complete(run.id)
        leaders.add(run)
      }
    },
    onComplaint: (message) => complaints.add(message),
    onDeath: (error) => failure.abort(error),
  })
  const loops: Promise<void>[] = []
  try {
    await Promise.all([queue.connect(), pool.start()])
    await shards.look()
    screen.note(`${workers} worker processes, ${count(pairs.length)} back-tests of moving-average crossovers`)
    const started = performance.now()
    const rate = new Rate()
    const trace = new Trace()
    const progress = (): Progress => ({
      elapsedMs: performance.now() - started,
      tasks: pairs.length,
      acknowledged: ledger.enqueued,
      completed: ledger.completed,
      tasksPerSecond: rate.sample(performance.now(), ledger.completed),
      producer: trace.sample(performance.now(), ledger.enqueued),
      longestEnqueueMs: ledger.longestEnqueueMs,
      shards: shards.lines,
    })
    const untilDrained = AbortSignal.any([signal, watching.signal])
    const kill = { cluster, queue, ledger, tasks: pairs.length, signal: untilDrained, note: screen.note }
    for (const loop of [
      shards.run(watching.signal),
      showProgress(screen, progress, watching.signal),
      ...(options.kill === false ? [] : [killHalfWay(killing, kill)]),
    ]) {
      loops.push(loop.catch((error: unknown) => failure.abort(error)))
    }
    const failedOver = () => options.kill === false || killing.servedAgainAfterMs !== null
    await produce({ queue, pairs, ledger, spreadOverMs: SPREAD_OVER_MS, signal })
    const leftInQueue = await drain(queue, ledger, failedOver, signal)
    const elapsedMs = performance.now() - started
    const structure = problemsOf(await unlessAborted(queue.verify(), signal))
    watching.abort()
    await Promise.all(loops)
    await pool.stop()
    return {
      tasks: pairs.length,
      workers,
      elapsedMs,
      ...(await yardstick()),
      best: leaders.best,
      ledger: ledger.summary(leftInQueue),
      leftInQueue,
      structure,
      killed: options.kill === false ? null : killing,
      complaints: [...complaints],
    }
  } catch (error) {
    // What everybody else then throws is only that they were told to stop.
    throw failure.signal.aborted ? failure.signal.reason : error
  } finally {
    failure.abort()
    watching.abort()
    await Promise.allSettled(loops)
    // After a success they have stopped; after a failure nobody needs what they would still finish.
    await pool.kill()
    await queue.disconnect()
  }
}

/** What the strategies are held against, over the same days. */
async function yardstick(): Promise<Pick<DemoReport, 'period' | 'buyAndHold'>> {
  const { dates, closes } = await loadPrices()
  return {
    period: { from: dates[FIRST_DAY] ?? '', to: dates.at(-1) ?? '', costPerSide: COST_PER_SIDE },
    buyAndHold: buyAndHold(closes, { start: FIRST_DAY, costPerSide: COST_PER_SIDE }),
  }
}
