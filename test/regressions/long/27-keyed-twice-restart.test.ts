import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, expect, it } from 'vitest'
import { ensureServer, freePorts } from '../../../src/cluster/index.js'
import { sleep } from '../../../src/connection/connection.js'
import { TaskQueue, Worker } from '../../../src/index.js'
import { until } from '../../helpers/until.js'

interface Tasks {
  pay: number
  plain: number
}

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/**
 * A server that comes back from a kill with what it had when it was last told to save: as one whose append-only file lacks its last
 * moments, but at a moment of the test's choice.
 */
async function forgetfulServer() {
  const [{ path }, [port = 0], dir] = await Promise.all([
    ensureServer(),
    freePorts(1),
    mkdtemp(join(tmpdir(), 'shardq-forgetful-')),
  ])
  const start = async () => {
    const args = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
    const child = spawn(path, args.map(String), { stdio: 'ignore' })
    const redis = new Redis({ host: '127.0.0.1', port })
    redis.on('error', () => undefined)
    await until(
      'the server answers',
      () => redis.ping().catch(() => ''),
      (reply) => reply === 'PONG',
    )
    return { child, redis }
  }
  let { child, redis } = await start()
  const kill = async () => {
    redis.disconnect()
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  closers.push(async () => {
    await kill()
    await rm(dir, { recursive: true, force: true })
  })
  return {
    connection: { mode: 'single', url: `redis://127.0.0.1:${port}` } as const,
    save: () => redis.save(),
    async killAndStart() {
      await kill()
      ;({ child, redis } = await start())
    },
  }
}

/** Two workers, of which each takes one task at a time and counts who runs at once. */
async function twoWorkers(connection: { mode: 'single'; url: string }, durationMs: number, leaseMs: number) {
  const runs = { starts: 0, now: 0, most: 0, completed: 0, plain: 0, errors: [] as string[] }
  for (const name of ['A', 'B']) {
    const worker = new Worker<Tasks>(
      'q',
      {
        pay: async () => {
          runs.starts++
          runs.now++
          runs.most = Math.max(runs.most, runs.now)
          await sleep(durationMs)
          runs.now--
        },
        plain: () => void runs.plain++,
      },
      { connection, leaseMs, concurrency: 1, partitions: 2 },
    )
    worker.on('completed', ({ task }) => {
      if (task.type === 'pay') runs.completed++
    })
    worker.on('error', (error) => runs.errors.push(`${name} ${error.name}`))
    await worker.start()
    closers.push(() => worker.stop({ timeoutMs: 0 }))
  }
  return runs
}

it.each([
  { what: 'long before the next heartbeat', leaseMs: 30_000 },
  { what: 'with heartbeats in between', leaseMs: 900 },
])(
  'a task with a key is not run twice after a restart that forgot its hand-out, $what',
  async ({ leaseMs }) => {
    const server = await forgetfulServer()
    const queue = new TaskQueue<Tasks>('q', { connection: server.connection, partitions: 2 })
    await queue.connect()
    closers.push(() => queue.disconnect())
    const runs = await twoWorkers(server.connection, 6_000, leaseMs)
    // Tasks flow, and so both workers have been let in, in the first life of the server.
    await queue.enqueueMany(Array.from({ length: 40 }, (_, i) => ({ type: 'plain' as const, data: i })))
    await until(
      'tasks without a key were run',
      async () => runs.plain,
      (count) => count === 40,
    )
    await queue.pause()
    await queue.enqueue('pay', 1, { partitionKey: 'customer' })
    await server.save()
    await queue.resume()
    await until(
      'it was started',
      async () => runs.starts,
      (count) => count === 1,
    )
    await sleep(200)
    await server.killAndStart()
    // As the operator had done it, too.
    await queue.resume()
    const plainBefore = runs.plain
    await queue.enqueue('plain', 1)
    await until(
      'the other worker gets tasks again',
      async () => runs.plain,
      (count) => count > plainBefore,
      8_000,
    )
    await until(
      'it was completed',
      async () => runs.completed,
      (count) => count === 1,
      12_000,
    )
    await sleep(300)
    expect({ starts: runs.starts, most: runs.most, now: runs.now }).toEqual({ starts: 1, most: 1, now: 0 })
    expect(runs.errors.filter((error) => error.includes('LeaseLost'))).toEqual([])
    expect((await queue.depth()).active).toBe(0)
  },
)

it('a task with a key that was completed is not run again after a restart that forgot all of it', async () => {
  const server = await forgetfulServer()
  const queue = new TaskQueue<Tasks>('q', { connection: server.connection, partitions: 2 })
  await queue.connect()
  closers.push(() => queue.disconnect())
  const runs = await twoWorkers(server.connection, 0, 30_000)
  await queue.enqueueMany(Array.from({ length: 40 }, (_, i) => ({ type: 'plain' as const, data: i })))
  await until(
    'tasks without a key were run',
    async () => runs.plain,
    (count) => count === 40,
  )
  await queue.pause()
  await queue.enqueue('pay', 1, { partitionKey: 'customer' })
  await server.save()
  await queue.resume()
  await until(
    'it was completed',
    async () => runs.completed,
    (count) => count === 1,
  )
  await server.killAndStart()
  await queue.resume()
  const empty = { active: 0, dead: 0, scheduled: 0, ready: { high: 0, medium: 0, low: 0 } }
  await until(
    'it is gone again',
    () => queue.depth(),
    (depth) => JSON.stringify(depth) !== '' && depth.active + depth.ready.medium === 0,
    8_000,
  )
  expect(await queue.depth()).toEqual(empty)
  expect(runs.starts).toBe(1)
})

it('nobody waits for a server that has nothing to forget', async () => {
  const server = await forgetfulServer()
  const queue = new TaskQueue<Tasks>('q', { connection: server.connection, partitions: 2 })
  await queue.connect()
  closers.push(() => queue.disconnect())
  await queue.enqueue('plain', 1)
  const runs = await twoWorkers(server.connection, 0, 30_000)
  await until(
    'it was run',
    async () => runs.plain,
    (count) => count === 1,
    1_500,
  )
})

/** How a task comes to stand elsewhere than in a ready list at the moment that the server goes back to. */
const places = {
  async 'in the lease that it was extended from'(holder: Queue, save: () => Promise<unknown>) {
    const delivery = await next(holder)
    await save()
    await delivery.extend(30_000)
    return delivery
  },
  async 'in the lease under which it failed before'(holder: Queue, save: () => Promise<unknown>) {
    const delivery = await next(holder)
    await save()
    await delivery.fail(new Error('the first attempt'))
    return next(holder)
  },
  async 'in the lease from which it was handed back'(holder: Queue, save: () => Promise<unknown>) {
    const delivery = await next(holder)
    await save()
    await delivery.release()
    return next(holder)
  },
  async 'among the scheduled'(holder: Queue, save: () => Promise<unknown>) {
    await save()
    return next(holder)
  },
}
type Queue = TaskQueue<Tasks>

async function next(queue: Queue) {
  const [delivery] = await queue.dequeue({ blockMs: 3_000, leaseMs: 30_000 })
  if (!delivery) throw new Error('nothing was handed out')
  return delivery
}

it.each(Object.keys(places) as (keyof typeof places)[])(
  'a task with a key is not handed out twice after a restart that has it %s',
  async (place) => {
    const server = await forgetfulServer()
    const open = async () => {
      const queue = new TaskQueue<Tasks>('q', { connection: server.connection, partitions: 1 })
      await queue.connect()
      closers.push(() => queue.disconnect())
      return queue
    }
    const holder = await open()
    const other = await open()
    // Both have been let in, in the first life of the server.
    for (const queue of [holder, other]) {
      await queue.enqueue('plain', 1)
      await (await next(queue)).complete()
    }
    const delayMs = place === 'among the scheduled' ? 300 : 0
    const backoff = { type: 'fixed', delayMs: 0 } as const
    await holder.enqueue('pay', 1, { partitionKey: 'customer', delayMs, backoff })
    const delivery = await places[place](holder, server.save)
    await server.killAndStart()
    expect(await other.dequeue({ count: 10, blockMs: 4_000 })).toEqual([])
    await delivery.complete()
    expect((await other.depth()).active).toBe(0)
  },
)

it.each(['fail', 'release'] as const)(
  'a task with a key is not handed out twice after a restart that has it with who has called %s',
  async (call) => {
    const server = await forgetfulServer()
    const [before, holder, other] = await Promise.all(
      ['before', 'holder', 'other'].map(async () => {
        const queue = new TaskQueue<Tasks>('q', { connection: server.connection, partitions: 1 })
        await queue.connect()
        closers.push(() => queue.disconnect())
        await queue.enqueue('plain', 1)
        await (await next(queue)).complete()
        return queue
      }),
    )
    if (!before || !holder || !other) throw new Error('three queues were opened')
    const backoff = { type: 'fixed', delayMs: 0 } as const
    await holder.enqueue('pay', 1, { partitionKey: 'customer', backoff })
    const first = await next(before)
    await server.save()
    await (call === 'fail' ? first.fail(new Error('the first attempt')) : first.release())
    const delivery = await next(holder)
    await server.killAndStart()
    expect(await other.dequeue({ count: 10, blockMs: 4_000 })).toEqual([])
    await delivery.complete()
    expect((await other.depth()).active).toBe(0)
  },
)
