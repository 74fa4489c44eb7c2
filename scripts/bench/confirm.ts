/**
 * `npm run bench:confirm`: what it costs that both of two replicas confirm, beside one of them: three masters with two replicas each,
 * both at once, 100 bytes, in turns. `-- ROUNDS TASKS`, default 5 100000.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, startCluster } from '../../src/cluster/index.js'
import { TaskQueue, Worker } from '../../src/index.js'

const MASTERS = 3
const REPLICAS = 2
const DATA = 'x'.repeat(100)
/** Callers of enqueue for the time of one alone. */
const ALONE = 300
const rounds = Number(process.argv[2] ?? 5)
const tasks = Number(process.argv[3] ?? 100_000)

const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
const cluster = await startCluster({
  ports: await freePorts(MASTERS * (1 + REPLICAS)),
  dataDir: join(folder, 'cluster'),
  replicasPerMaster: REPLICAS,
})
const readings = new Map<string, { perSecond: number; aloneMs: number; unconfirmed: number }[]>()
try {
  for (let round = 0; round <= rounds; round++) {
    const both = ['all', 1] as const
    for (const confirm of round % 2 === 0 ? both : [...both].reverse()) {
      const reading = await measure(confirm, `confirm-${confirm}-${round}`)
      // The first round warms up.
      if (round > 0) readings.set(`${confirm}`, [...(readings.get(`${confirm}`) ?? []), reading])
    }
  }
} finally {
  await cluster.stop({ remove: true })
  await rm(folder, { recursive: true, force: true })
}
for (const [confirm, all] of readings) {
  const of = (pick: (one: (typeof all)[number]) => number) => median(all.map(pick))
  console.log(
    `confirm ${confirm}: both at once ${Math.round(of((one) => one.perSecond))} tasks/s, ` +
      `one enqueue alone p50 ${of((one) => one.aloneMs).toFixed(3)} ms, unconfirmed ${of((one) => one.unconfirmed)}; ` +
      `each round ${all.map((one) => Math.round(one.perSecond)).join(' ')}`,
  )
}

async function measure(confirm: 'all' | number, name: string) {
  // Readings are of replicas that keep up; on a machine that is too busy for that, a time-out would be measured.
  const options = {
    connection: { mode: 'cluster', nodes: cluster.seeds },
    replication: { confirm },
    confirmTimeoutMs: 2_000,
  } as const
  const queue = new TaskQueue<{ note: string }>(name, options)
  await queue.connect()
  const times: number[] = []
  for (let i = 0; i < ALONE; i++) {
    const startMs = performance.now()
    await queue.enqueue('note', DATA)
    times.push(performance.now() - startMs)
  }
  let ran = 0
  let finish: () => void = () => {}
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const worker = new Worker<{ note: string }>(
    name,
    {
      note: () => {
        if (++ran === tasks + ALONE) finish()
      },
    },
    { ...options, concurrency: 500 },
  )
  const startMs = performance.now()
  await worker.start()
  await Promise.all([
    queue.enqueueMany(Array.from({ length: tasks }, () => ({ type: 'note' as const, data: DATA }))),
    finished,
  ])
  const seconds = (performance.now() - startMs) / 1_000
  const { unconfirmed } = await queue.stats()
  await worker.stop()
  await queue.disconnect()
  return { perSecond: tasks / seconds, aloneMs: median(times), unconfirmed }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
