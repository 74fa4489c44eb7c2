/**
 * `npm run measure:idle`: how long a task that is given to an idle queue waits for its handler to start, on a local
 * 3+3 cluster of its own; producer and worker in processes of their own, with one clock. Prints median and spread of
 * five rounds; exits 1 if the median of all is over 3 ms.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setup } from './setup.mjs'

const ROUNDS = 5
const TASKS = 200
const LIMIT_MS = 3
const nowMs = () => performance.timeOrigin + performance.now()

if (process.argv[2] === 'worker') {
  const { Worker } = await import('../dist/index.js')
  const handlers = { ping: (task) => nowMs() - task.data.sentAtMs }
  const worker = new Worker('idle', handlers, { connection: JSON.parse(process.argv[3] ?? '') })
  worker.on('completed', ({ result }) => process.send?.(result))
  process.on('disconnect', () => void worker.stop())
  await worker.start()
  process.send?.('ready')
} else {
  await setup()
  const { freePorts, startCluster } = await import('../dist/cluster/index.js')
  const { TaskQueue } = await import('../dist/index.js')
  const dir = await mkdtemp(join(tmpdir(), 'shardq-idle-'))
  const cluster = await startCluster({ ports: await freePorts(6), dataDir: join(dir, 'cluster') })
  const connection = { mode: 'cluster', nodes: cluster.seeds }
  const child = fork(fileURLToPath(import.meta.url), ['worker', JSON.stringify(connection)])
  const queue = new TaskQueue('idle', { connection })
  try {
    await once(child, 'message')
    await queue.connect()
    const all = []
    for (let round = 1; round <= ROUNDS; round++) {
      const waits = []
      for (let i = 0; i < TASKS; i++) {
        const started = once(child, 'message')
        await queue.enqueue('ping', { sentAtMs: nowMs() })
        const [waitMs] = await started
        waits.push(waitMs)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      all.push(...waits)
      console.log(`round ${round}: ${describe(waits)}`)
    }
    console.log(`all:     ${describe(all)}`)
    process.exitCode = quantile(all, 0.5) <= LIMIT_MS ? 0 : 1
  } finally {
    await queue.disconnect()
    child.disconnect()
    await once(child, 'exit')
    await cluster.stop({ remove: true })
    await rm(dir, { recursive: true, force: true })
  }
}

function quantile(values, q) {
  return (
    [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))] ??
    Number.NaN
  )
}

function describe(values) {
  const text = [0.05, 0.5, 0.95, 0.99].map((q) => `p${q * 100} ${quantile(values, q).toFixed(2)}`).join('  ')
  return `enqueue to handler start, ms: ${text}  (${values.length} tasks)`
}
