import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { startSingle } from '../../src/cluster/index.js'
import { type ConnectionOptions, Worker } from '../../src/index.js'
import { ownCluster } from '../helpers/own-cluster.js'

const WATCH_MS = 10_000

/** Commands that a server carries out in a second, those of replication and INFO, which this asks itself, left out. */
async function commandsPerSecond(servers: readonly Redis[]): Promise<number[]> {
  const count = async (server: Redis) => {
    const stats = await server.info('commandstats')
    let total = 0
    for (const [, name, calls] of stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)) {
      if (!/^(info|replconf)$/.test(name ?? '')) total += Number(calls)
    }
    return total
  }
  const before = await Promise.all(servers.map(count))
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
  const after = await Promise.all(servers.map(count))
  return after.map((total, i) => ((total - (before[i] ?? 0)) * 1_000) / WATCH_MS)
}

async function idleWorker(connection: ConnectionOptions): Promise<void> {
  const worker = new Worker('idle', { note: () => null }, { connection })
  await worker.start()
  onTestFinished(() => worker.stop())
  await new Promise((resolve) => setTimeout(resolve, 1_500))
}

// Commands inside scripts are counted by the server as well, so this is the whole price.
it('an idle worker costs each master of a cluster at most 2 commands a second', async () => {
  const cluster = await ownCluster()
  const masters = cluster.nodes
    .filter((node) => node.role === 'master')
    .map(({ host, port }) => new Redis({ host, port, protocol: 2 }))
  onTestFinished(() => masters.forEach((master) => void master.disconnect()))
  await idleWorker({ mode: 'cluster', nodes: cluster.seeds })
  const perSecond = await commandsPerSecond(masters)
  console.log(`commands a second on each master: ${perSecond.join(', ')}`)
  for (const rate of perSecond) expect(rate).toBeLessThanOrEqual(2)
}, 40_000)

it('and a single Redis at most 6: it has the partitions of three masters', async () => {
  const server = await startSingle()
  onTestFinished(() => server.stop())
  const client = new Redis(server.url, { protocol: 2 })
  onTestFinished(() => void client.disconnect())
  await idleWorker({ mode: 'single', url: server.url })
  const [rate] = await commandsPerSecond([client])
  console.log(`commands a second: ${rate}`)
  expect(rate).toBeLessThanOrEqual(6)
}, 40_000)
