import { createServer } from 'node:net'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { freePorts, startSingle } from '../../src/cluster/index.js'
import {
  AuthenticationError,
  EnqueueManyError,
  InvalidDataError,
  InvalidOptionError,
  PartitionMismatchError,
  PayloadTooLargeError,
  QueueFullError,
  QueueUnavailableError,
  ServerTooOldError,
  TaskQueue,
  WrongModeError,
} from '../../src/index.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))

describe('a queue that cannot be opened says why, in a bounded time', () => {
  it('no node answers', async () => {
    const [port] = (await freePorts(1)) as [number]
    const queue = new TaskQueue('q', {
      connection: { mode: 'cluster', nodes: [{ host: '127.0.0.1', port }], connectTimeoutMs: 300 },
    })
    const start = performance.now()
    await expect(queue.connect()).rejects.toThrow(QueueUnavailableError)
    await expect(queue.connect()).rejects.toThrow(
      `no node answered within 300 ms: connect ECONNREFUSED 127.0.0.1:${port}`,
    )
    expect(performance.now() - start).toBeLessThan(5_000)
  })

  it('a node accepts and never speaks', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const connection = { mode: 'single', url: `redis://127.0.0.1:${port}`, connectTimeoutMs: 500 } as const
    await expect(new TaskQueue('q', { connection }).connect()).rejects.toThrow(QueueUnavailableError)
  })

  it('one seed of several is enough', async () => {
    const [port] = (await freePorts(1)) as [number]
    const queue = await harness.queue({
      connection: { mode: 'cluster', nodes: [{ host: '127.0.0.1', port }, ...inject('cluster').nodes] },
    })
    expect((await queue.health()).shards).toHaveLength(3)
  })

  it('a cluster that is not one, and a single server that is', async () => {
    const url = new URL(inject('single').url)
    const nodes = [{ host: url.hostname, port: Number(url.port) }]
    await expect(new TaskQueue('q', { connection: { mode: 'cluster', nodes } }).connect()).rejects.toThrow(
      WrongModeError,
    )
    const [seed] = inject('cluster').nodes
    const single = { mode: 'single', url: `redis://${seed?.host}:${seed?.port}` } as const
    await expect(new TaskQueue('q', { connection: single }).connect()).rejects.toThrow(
      /is a cluster node; use mode 'cluster'/,
    )
  })

  it('a wrong password, or none, and never shows it', async () => {
    const server = await startSingle({ settings: { requirepass: 'right-secret' } })
    onTestFinished(() => server.stop())
    for (const password of ['wrong-secret', undefined]) {
      const connection = { mode: 'single', url: server.url, ...(password && { password }) } as const
      const error = await new TaskQueue('q', { connection }).connect().then(
        () => undefined,
        (reason: Error) => reason,
      )
      expect(error).toBeInstanceOf(AuthenticationError)
      expect(`${error?.message} ${error?.stack}`).not.toContain('secret')
    }
    const queue = new TaskQueue('q', {
      connection: { mode: 'single', url: server.url, password: 'right-secret' },
    })
    await queue.connect()
    await queue.enqueue('a', 1)
    await queue.disconnect()
  })

  it('a server that is too old', async () => {
    // A fake, since no such server is at hand: it answers INFO as Redis 6.2 does.
    const server = createServer((socket) => {
      const info = 'redis_version:6.2.14\r\nredis_mode:standalone\r\n'
      socket.on('data', () => socket.write(`$${info.length}\r\n${info}\r\n`))
    }).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as { port: number }
    const queue = new TaskQueue('q', { connection: { mode: 'single', url: `redis://127.0.0.1:${port}` } })
    await expect(queue.connect()).rejects.toThrow(ServerTooOldError)
    await expect(queue.connect()).rejects.toThrow('runs Redis 6.2.14; shardq needs Redis >= 7.0')
  })

  it('another number of partitions', async () => {
    const queue = await harness.queue({ partitions: 6 })
    const other = new TaskQueue(queue.name, { connection: harness.connection, partitions: 12 })
    await expect(other.connect()).rejects.toThrow(PartitionMismatchError)
    const silent = await harness.queue({}, queue.name)
    expect((await silent.health()).shards.flatMap((shard) => shard.partitions)).toHaveLength(6)
  })

  it('a durability that the server does not have', async () => {
    const [server] = await harness.masters()
    const version = /redis_version:(\d+\.\d+)/.exec((await server?.info('server')) ?? '')?.[1]
    const queue = new TaskQueue(harness.name(), { connection: harness.connection, durability: 'fsynced' })
    if (Number(version) >= 7.2) {
      await queue.connect()
      expect(await queue.enqueue('a', 1)).toEqual(expect.any(String))
      await queue.disconnect()
    } else {
      await expect(queue.connect()).rejects.toThrow(/'fsynced' needs WAITAOF/)
    }
  })
})

describe('a task that cannot be stored is refused by name, and nothing else with it', () => {
  it('bad types, data, options', async () => {
    const queue = await harness.queue({ maxPayloadBytes: 100 })
    await expect(queue.enqueue('a{b}' as 'note', 1)).rejects.toThrow(InvalidOptionError)
    await expect(queue.enqueue('note', 10n)).rejects.toThrow(InvalidDataError)
    await expect(queue.enqueue('note', 'x'.repeat(200))).rejects.toThrow(PayloadTooLargeError)
    await expect(queue.enqueue('note', 1, { prio: 'high' } as never)).rejects.toThrow(InvalidOptionError)
    await expect(
      queue.enqueueMany([
        { type: 'note', data: 1 },
        { type: 'note', data: 1, options: { delayMs: -5 } },
      ]),
    ).rejects.toThrow('items[1].options.delayMs: expected a whole number')
    expect(await queue.enqueueMany([])).toEqual([])
    expect((await queue.depth()).ready.medium).toBe(0)
    await expect(queue.dequeue({ count: 0 })).rejects.toThrow('options.count: expected a whole number from 1')
    await expect(queue.dequeue({ leaseMs: 100 })).rejects.toThrow(
      'options.leaseMs: expected a whole number from 500',
    )
  })

  it('more than the buffer holds', async () => {
    const queue = await harness.queue({ maxBufferedBytes: 4_000 })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 100 }, () => queue.enqueue('note', 'x'.repeat(200))),
    )
    const full = outcomes.filter((one) => one.status === 'rejected' && one.reason instanceof QueueFullError)
    const stored = outcomes.filter((one) => one.status === 'fulfilled')
    expect(full.length).toBeGreaterThan(0)
    expect(full.length + stored.length).toBe(100)
    expect((await queue.depth()).ready.medium).toBe(stored.length)
    // enqueueMany waits for room instead.
    await queue.enqueueMany(
      Array.from({ length: 100 }, () => ({ type: 'note' as const, data: 'x'.repeat(200) })),
    )
  })
})

describe('a full cluster', () => {
  it('refuses with QueueFullError, item by item', async () => {
    const server = await startSingle({ settings: { maxmemory: '3mb', 'maxmemory-policy': 'noeviction' } })
    onTestFinished(() => server.stop())
    const queue = new TaskQueue('q', {
      connection: { mode: 'single', url: server.url },
      enqueueTimeoutMs: 500,
    })
    await queue.connect()
    onTestFinished(() => queue.disconnect())
    const items = Array.from({ length: 100 }, () => ({ type: 'a', data: 'x'.repeat(100_000) }))
    const error = await queue.enqueueMany(items).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(EnqueueManyError)
    const { ids, failures } = error as EnqueueManyError
    expect(failures.map(({ error }) => error).filter((error) => !(error instanceof QueueFullError))).toEqual(
      [],
    )
    expect(ids.filter((id) => id !== null).length + failures.length).toBe(100)
    expect((await queue.depth()).ready.medium).toBe(ids.filter((id) => id !== null).length)
  })
})
