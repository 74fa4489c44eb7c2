import { createServer, connect as open, type Socket } from 'node:net'
import { Redis } from 'ioredis'
import { expect, it, onTestFinished } from 'vitest'
import { freePorts } from '../../src/cluster/index.js'
import { Worker } from '../../src/index.js'
import { bundleName } from '../../src/scripts/bundles.js'
import { ownServer } from '../helpers/full-memory.js'
import { faultsOf, OwnPartition } from '../helpers/partition.js'
import { until } from '../helpers/until.js'

const MB = 1024 * 1024
const ROOM = MB / 2
const record = (bytes: number) => `13|["t",1700000000000,"${'x'.repeat(bytes - 25)}"]`

async function ownPartition() {
  const { server } = await ownServer()
  const redis = new Redis(server.url)
  onTestFinished(() => redis.disconnect())
  const partition = new OwnPartition(redis)
  const fetch = async (leaseId: string, count = 500, least = 500) => {
    const { names, result } = await partition.exchange([], { leaseId, count, least })
    const bytes = result.fetched.map(({ record: text }) => text.length)
    return { names, bytes: bytes.reduce((sum, each) => sum + each, 0) }
  }
  return { partition, fetch }
}

it('a fetch hands out no more than half a megabyte, whatever came before, and one task in any case', async () => {
  const { partition, fetch } = await ownPartition()
  await partition.enqueue(['0.p0'], { record: record(100) })
  for (let i = 1; i <= 20; i++) await partition.enqueue([`0.p${i.toString(36)}`], { record: record(MB) })
  expect(await fetch('a')).toEqual({ names: ['0.p0'], bytes: 100 })
  expect(await fetch('b')).toEqual({ names: ['0.p1'], bytes: MB })
  expect(await fetch('c')).toEqual({ names: ['0.p2'], bytes: MB })
  expect(faultsOf(await partition.contents(), 0)).toEqual([])
})

it('so do bundles, whole and taken apart', async () => {
  const { partition, fetch } = await ownPartition()
  const large = bundleName('0.p0', 4)
  const others = Array.from({ length: 8 }, (_, i) => bundleName(`0.q${i}`, 4))
  await partition.enqueue([large, ...others], { record: record(40_000) })
  // The first of which only three are wanted is taken apart; what is left of it and two more are half a megabyte.
  const first = await fetch('a', 3)
  expect(first.names).toEqual([`${large}0`, `${large}1`, `${large}2`])
  const second = await fetch('b')
  expect(second.names).toEqual([`${large}3`, ...others.slice(0, 3)])
  expect(second.bytes).toBeLessThanOrEqual(ROOM)
  const last = bundleName('0.r0', 4)
  await partition.enqueue([last], { record: record(300_000), level: 0 })
  expect((await fetch('c', 3)).names).toEqual([`${last}0`])
  expect((await fetch('d', 2)).names).toEqual([`${last}1`])
  expect(faultsOf(await partition.contents(), 0)).toEqual([])
})

it('large tasks are delivered once each over a link on which a few of them take longer than a time-out', async () => {
  const { server, queue } = await ownServer()
  const producer = await queue({ partitions: 1 })
  for (let i = 0; i < 10; i++) await producer.enqueue('note', 'x'.repeat(MB - 100))
  const port = await slowLink(server.port, 5_000_000)
  let ran = 0
  const connection = { mode: 'single', url: `redis://127.0.0.1:${port}` } as const
  const worker = new Worker('q', { note: () => void ran++ }, { connection, concurrency: 10 })
  onTestFinished(() => worker.stop({ timeoutMs: 0 }))
  await worker.start()
  await until(
    'all have run',
    async () => ran,
    (count) => count >= 10,
  )
  expect(ran).toBe(10)
  expect(await producer.stats()).toMatchObject({ delivered: 10 })
})

/** Port of a link to `target` that carries so many bytes a second of what is large. */
async function slowLink(target: number, bytesPerSecond: number): Promise<number> {
  const [port = 0] = await freePorts(1)
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = open(target, '127.0.0.1')
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).on('close', () => to.destroy())
      from.on('data', (data) => {
        to.write(data)
        if (data.length < 2_000) return
        from.pause()
        setTimeout(() => from.resume(), (data.length / bytesPerSecond) * 1_000)
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return port
}
