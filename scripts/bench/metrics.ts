/**
 * `npm run bench:metrics`: what metrics cost. The time of a scrape of 6 nodes and 10 queues, all well and with a node frozen;
 * and what is left of the throughput while everything is scraped every second.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import { bench, type FullReading } from '../../src/bench/run.js'
import { FLAG_VARIABLE } from '../../src/bench/watched-client.js'
import type { Address } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import type { ConnectionOptions } from '../../src/connection/options.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { startEndpoint } from '../../src/metrics/index.js'
import { type OwnServers, startServers } from './own-servers.js'

interface Tasks {
  note: string
}

const QUEUES = 10
const SCRAPES = 200
const FROZEN_SCRAPES = 10
const WARM_UP_SCRAPES = 50
const SCRAPE_MS = 1_000
const TIMEOUT_MS = 1_000
/** Tasks of each queue that wait, that are delayed, and that are under way, so that there is something to tell. */
const READY = 2_000
const DELAYED = 200
const ACTIVE = 20

const rounds = Number(process.argv[2] ?? 9)
const tasks = Number(process.argv[3] ?? 500_000)

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

const servers = await startServers(3, 1, interrupt.signal)
const table = new Table({
  head: ['what', 'median', 'least', 'most'],
  style: { head: [], border: [], compact: true },
})
try {
  const users = await Promise.all(
    Array.from({ length: QUEUES }, (_, i) => useQueue(`metrics-${i}`, servers.connection)),
  )
  const before = process.cpuUsage()
  const whole = await scrapeTimes(servers.connection, SCRAPES)
  const { user, system } = process.cpuUsage(before)
  table.push(row(`scrape of 6 nodes and ${QUEUES} queues, ms`, whole, 1))
  const perScrapeMs = (user + system) / 1_000 / whole.length
  table.push(['CPU of endpoint and scraper for it, ms', perScrapeMs.toFixed(1), '', ''])
  table.push(
    row(`the same with a master frozen, time-out ${TIMEOUT_MS} ms, ms`, await withFrozenMaster(servers), 0),
  )
  for (const end of users) await end()
  await flush(servers.masters)
  // The same twice, to know what a difference of two readings says.
  const [plain = [], again = [], watched = []] = await throughputs(servers.connection)
  const perSecond = (readings: readonly FullReading[]) => readings.map((reading) => reading.perSecond)
  table.push(row('enqueue and process at once, tasks/s', perSecond(plain), 0))
  table.push(row('the same once more', perSecond(again), 0))
  table.push(row('the same, scraped every second', perSecond(watched), 0))
  const shares = (readings: readonly FullReading[]) =>
    readings.map((reading, i) => (100 * reading.perSecond) / (plain[i]?.perSecond ?? Number.NaN))
  table.push(row('of the first in the same round, once more, %', shares(again), 1))
  table.push(row('of the first in the same round, scraped, %', shares(watched), 1))
  // Tasks per second swing with the machine; what a task costs does so much less.
  const cpuUs = (readings: readonly FullReading[]) =>
    readings.map(({ clientUs, masterUs, replicaUs }) => clientUs + masterUs + replicaUs)
  table.push(row('CPU of client and servers, µs/task', cpuUs(plain), 2))
  table.push(row('the same once more', cpuUs(again), 2))
  table.push(row('the same, scraped every second', cpuUs(watched), 2))
} finally {
  await servers.stop()
}
console.log(table.toString())

/** A queue with tasks in every state, and a worker. */
async function useQueue(name: string, connection: ConnectionOptions): Promise<() => Promise<void>> {
  const queue = new TaskQueue<Tasks>(name, { connection })
  await queue.connect()
  const many = (count: number, options: object = {}) =>
    Array.from({ length: count }, (_, i) => ({
      type: 'note' as const,
      data: `${i}`.padEnd(100, 'x'),
      options,
    }))
  await queue.enqueueMany([...many(READY, { priority: 'low' }), ...many(DELAYED, { delayMs: 3_600_000 })])
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const worker = new Worker<Tasks>(name, { note: () => released }, { connection, concurrency: ACTIVE })
  await worker.start()
  return async () => {
    const stopped = worker.stop()
    release()
    await stopped
    await queue.disconnect()
  }
}

async function scrapeTimes(
  connection: ConnectionOptions,
  count: number,
  before = async () => {},
): Promise<number[]> {
  const endpoint = await startEndpoint({ connection, port: 0, timeoutMs: TIMEOUT_MS })
  const times: number[] = []
  try {
    const scrape = async () => (await fetch(`${endpoint.url}/metrics`)).text()
    // What a server does first of all, to connect and to compile, it does once.
    for (let i = 0; i < 5; i++) await scrape()
    await before()
    for (let i = 0; i < count; i++) {
      const startedMs = performance.now()
      await scrape()
      times.push(performance.now() - startedMs)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  } finally {
    await endpoint.close()
  }
  return times
}

async function withFrozenMaster({ connection, masters }: OwnServers): Promise<number[]> {
  const [master] = masters
  if (!master) throw new Error('a cluster without masters')
  const pid = await withLink(master, {}, async (link) =>
    Number(/process_id:(\d+)/.exec(await link.text('INFO', 'server'))?.[1]),
  )
  try {
    return await scrapeTimes(connection, FROZEN_SCRAPES, async () => void process.kill(pid, 'SIGSTOP'))
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

async function flush(masters: readonly Address[]): Promise<void> {
  for (const master of masters)
    await withLink(master, { timeoutMs: 30_000 }, async (link) => {
      const role = await link.text('ROLE')
      if (role.startsWith('master')) await link.text('FLUSHALL')
    })
}

/** In turn, each reading in a process of its own; the endpoint is one too, as it is run, and has been scraped before. */
async function throughputs(connection: ConnectionOptions): Promise<(readonly FullReading[])[]> {
  if (connection.mode !== 'cluster') throw new Error('a cluster is what is measured')
  const [node] = connection.nodes
  const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  const args = [main, 'metrics', '--port', '0', '--node', `${node?.host}:${node?.port}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
  const flag = join(folder, 'watched')
  let timer: NodeJS.Timeout | undefined
  try {
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    const url = line.split(' ')[0] ?? ''
    const scrape = async () => (await fetch(url)).text()
    for (let i = 0; i < WARM_UP_SCRAPES; i++) await scrape()
    process.env[FLAG_VARIABLE] = flag
    timer = setInterval(() => existsSync(flag) && void scrape(), SCRAPE_MS)
    return await alternate(connection)
  } finally {
    clearInterval(timer)
    await rm(folder, { recursive: true, force: true })
    child.kill()
    if (child.exitCode === null) await once(child, 'exit')
  }
}

async function alternate(connection: ConnectionOptions): Promise<(readonly FullReading[])[]> {
  const built = (name: string) => new URL(`../../dist/bench/${name}.js`, import.meta.url).href
  const rows = await bench({
    connection,
    contenders: [
      { name: 'plain', module: built('shardq-client'), scale: 1, concurrency: 500 },
      { name: 'plain again', module: built('shardq-client'), scale: 1, concurrency: 500 },
      { name: 'watched', module: built('watched-client'), scale: 1, concurrency: 500 },
    ],
    measures: [{ kind: 'both', concurrency: 500, bytes: 100, tasks }],
    rounds,
    clean: () => flush(servers.masters),
    signal: interrupt.signal,
    onReading: ({ contender, round, reading }) =>
      console.error(`round ${round + 1}: ${contender} ${Math.round(reading.perSecond)} tasks/s`),
  })
  return rows.map(({ readings }) => readings)
}

function row(what: string, values: readonly number[], digits: number): string[] {
  const sorted = [...values].sort((a, b) => a - b)
  const figures = [sorted[Math.floor(sorted.length / 2)], sorted[0], sorted.at(-1)]
  return [what, ...figures.map((figure) => (figure ?? Number.NaN).toFixed(digits))]
}
