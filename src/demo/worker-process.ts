/** One worker process of the demo: runs back-tests from the queue and reports each to the process that forked it. */
import { Worker } from '../index.js'
import { type DemoTasks, FIRST_DAY, QUEUE_NAME } from './grid.js'
import type { FromWorker, Run, ToWorker } from './messages.js'
import { loadPrices } from './prices.js'
import { backtest, COST_PER_SIDE, prefixSums } from './strategy.js'

/** A message per task would cost both processes more than the back-test does. */
const REPORT_EVERY_MS = 50

const { closes } = await loadPrices()
const sums = prefixSums(closes)
const period = { start: FIRST_DAY, costPerSide: COST_PER_SIDE }

let worker: Worker<DemoTasks> | undefined
let runs: Run[] = []

async function start({ connection, concurrency }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  worker = new Worker<DemoTasks>(
    QUEUE_NAME,
    {
      backtest: async (task, ctx) => {
        const metrics = backtest(closes, sums, task.data, period)
        // Reported where the work was done, not when the queue has confirmed it: a task whose confirmation is lost
        // with its master runs again, and the ledger is to see both runs.
        runs.push({ id: task.id, attempt: ctx.attempt, ...task.data, metrics })
        return metrics
      },
    },
    { connection, concurrency },
  )
  worker.on('error', (error) => tell({ type: 'error', message: error.message }))
  worker.on('failed', ({ error }) => tell({ type: 'error', message: error.message }))
  await worker.start()
  setInterval(report, REPORT_EVERY_MS)
  tell({ type: 'started' })
}

async function stop(): Promise<void> {
  await worker?.stop({ timeoutMs: 5_000 })
  report()
  process.disconnect() // sends what is queued first; then the listener below ends us
}

function report(): void {
  if (runs.length === 0) return
  tell({ type: 'runs', runs })
  runs = []
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message)
}

process.on('message', (message: ToWorker) => {
  const done = message.type === 'start' ? start(message) : stop()
  done.catch((error: Error) => {
    tell({ type: 'error', message: error.message })
    process.exitCode = 1
    process.disconnect()
  })
})
// The parent is gone, or done with us: whatever else is open must not keep us.
process.on('disconnect', () => process.exit())
// Ctrl-C on a terminal reaches every process; the parent decides when we stop.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
