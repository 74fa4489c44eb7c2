/**
 * A process of its own that keeps a queue at work: `steady-load.ts QUEUE RATE`, with the connection as JSON in CONNECTION. Told
 * `{ phase }`, it answers with what enqueues took since the last phase began; told `{ stop }`, it stops enqueueing, lets the
 * queue run dry, and answers with the account of every task.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { TaskQueue, Worker } from '../../../src/index.js'
import type { LoadReport, PhaseReport } from '../steady-load.js'

const TICK_MS = 2
const DRAIN_MS = 60_000
/** One in five tasks has a partition key. */
const KEYED_EACH = 5
const KEYS = 200

const [name, rateText] = process.argv.slice(2) as [string, string]
const connection = JSON.parse(process.env.CONNECTION ?? '') as ConnectionOptions
const rate = Number(rateText)
const queue = new TaskQueue<{ job: { n: number } }>(name, { connection })
const runs = new Map<number, number>()
const worker = new Worker<{ job: { n: number } }>(
  name,
  { job: async ({ data }) => void runs.set(data.n, (runs.get(data.n) ?? 0) + 1) },
  { connection, concurrency: 200 },
)
const errors = new Map<string, number>()
const count = (error: unknown) => {
  const text = `${(error as Error).name}: ${(error as Error).message}`.slice(0, 200)
  if (errors.size < 100 || errors.has(text)) errors.set(text, (errors.get(text) ?? 0) + 1)
}
// That a node is away is what is being tested; what it does to a task, the task's own promise tells.
queue.on('error', () => {})
worker.on('error', () => {})
await queue.connect()
await worker.start()

let phase = newPhase('start')
const pending = new Set<Promise<void>>()
const acknowledged: number[] = []
let rejected = 0
let offered = 0
const startedMs = performance.now()
const timer = setInterval(() => {
  const due = Math.floor(((performance.now() - startedMs) * rate) / 1000)
  for (; offered < due; offered++) track(offered)
}, TICK_MS)

function track(n: number): void {
  const began = performance.now()
  const into = phase
  const options = n % KEYED_EACH === 0 ? { partitionKey: `key${n % KEYS}` } : {}
  const sending = queue.enqueue('job', { n }, options).then(
    () => {
      acknowledged.push(n)
      into.latencies.push(performance.now() - began)
    },
    (error: unknown) => {
      rejected++
      count(error)
    },
  )
  pending.add(sending)
  void sending.finally(() => pending.delete(sending))
}

function newPhase(name: string) {
  return { name, startedMs: performance.now(), latencies: [] as number[] }
}

function reportOf({ name, startedMs, latencies }: ReturnType<typeof newPhase>): PhaseReport {
  const sorted = Float64Array.from(latencies).sort()
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return {
    name,
    seconds: (performance.now() - startedMs) / 1000,
    enqueued: sorted.length,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
  }
}

async function finish(): Promise<LoadReport> {
  clearInterval(timer)
  await Promise.all(pending)
  const deadline = performance.now() + DRAIN_MS
  const left = () => acknowledged.filter((n) => !runs.has(n))
  while (left().length > 0 && performance.now() < deadline) await sleep(100)
  const phases = reportOf(phase)
  await worker.stop({ timeoutMs: 5_000 })
  await queue.disconnect()
  return {
    acknowledged: acknowledged.length,
    rejected,
    lost: left().length,
    repeated: [...runs.values()].filter((times) => times > 1).length,
    errors: Object.fromEntries(errors),
    lastPhase: phases,
  }
}

process.on('disconnect', () => process.exit(1))
process.on('message', async (message: { phase?: string; stop?: true }) => {
  if (message.stop) {
    process.send?.({ report: await finish() })
    process.disconnect()
    return
  }
  const ended = phase
  phase = newPhase(message.phase ?? '')
  process.send?.({ phase: reportOf(ended) })
})
process.send?.({ ready: true })
