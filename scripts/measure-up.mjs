/**
 * `npm run measure:up [-- runs]`: brings up a new 3+3 cluster 20 times and holds the time from the call to full
 * readiness against the goal. Exit code 1 when one run is over it.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setup } from './setup.mjs'

const GOAL_MS = 3000

await setup()
const { freePorts, startCluster } = await import('../dist/cluster/index.js')
const runs = Number(process.argv[2] ?? 20)
const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

const dir = await mkdtemp(join(tmpdir(), 'shardq-measure-'))
const times = []
try {
  for (let run = 1; run <= runs; run++) {
    const cluster = await startCluster({
      ports: await freePorts(6),
      dataDir: join(dir, 'cluster'),
      clean: true,
      signal: interrupt.signal,
    })
    await cluster.stop({ remove: true })
    times.push(cluster.readyMs)
    console.log(`run ${String(run).padStart(2)}: ready after ${cluster.readyMs} ms`)
  }
} finally {
  await rm(dir, { recursive: true, force: true })
}

times.sort((a, b) => a - b)
const over = times.filter((ms) => ms > GOAL_MS).length
console.log(`${cpus().length} cores, Node ${process.version}`)
console.log(`fastest ${times[0]} ms, median ${times[Math.floor(runs / 2)]} ms, slowest ${times.at(-1)} ms`)
console.log(`${over === 0 ? 'met' : 'MISSED'}: ${runs - over} of ${runs} runs within ${GOAL_MS} ms`)
process.exitCode = over === 0 ? 0 : 1
