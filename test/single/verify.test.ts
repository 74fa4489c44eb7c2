import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { type FaultKind, TaskQueue, type VerifyReport, Worker } from '../../src/index.js'
import { queueKey } from '../../src/keys/keys.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { LIMITS } from '../../src/queue/verify/partition.js'
import { verifyQueue } from '../../src/queue/verify.js'
import { eventually, removeKeys } from '../helpers/behaviour/harness.js'

interface Tasks {
  note: number
}

const options = { mode: 'single', url: inject('single').url } as const
const connection = new Connection(options)
const redis = new Redis(options.url)
const closers: (() => Promise<unknown>)[] = []
const names: string[] = []

beforeAll(() => connection.start('verify'))
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
  for (const name of names.splice(0)) await removeKeys(options, name)
})
afterAll(() => {
  connection.stop()
  redis.disconnect()
})

async function open(more: { partitions?: number; results?: { ttlMs: number } } = {}) {
  const name = `t-${randomBytes(5).toString('hex')}`
  names.push(name)
  const queue = new TaskQueue<Tasks>(name, { connection: options, partitions: 1, ...more })
  closers.push(() => queue.disconnect())
  await queue.connect()
  const partitions = makePartitions(name, more.partitions ?? 1)
  const keys = partitions[0]?.keys
  if (!keys) throw new Error('no partition')
  return { queue, name, keys, partitions }
}

/** How a partition is read: in one moment; in pages; in pages, and its tasks counted in several parts. */
const WAYS = {
  'in one moment': LIMITS,
  'in pages': { ...LIMITS, snapshotNames: 0 },
  'in pages and parts': { snapshotNames: 0, countedTasks: 40 },
} as const

async function verify(name: string, way: keyof typeof WAYS, count = 1): Promise<VerifyReport> {
  return verifyQueue(name, connection, makePartitions(name, count), { timeoutMs: 5_000, limits: WAYS[way] })
}

/** A queue with some tasks in every place, bundles and all. */
async function stage() {
  const opened = await open({ results: { ttlMs: 600_000 } })
  const { queue } = opened
  const many = (count: number, more = {}) =>
    Array.from({ length: count }, (_, data) => ({ type: 'note' as const, data, options: more }))
  await queue.enqueueMany(many(6, { priority: 'high', maxAttempts: 1, partitionKey: 'k' }))
  const [dying, trying, done, ...held] = await queue.dequeue({ count: 6, leaseMs: 600_000 })
  await dying?.fail(new Error('no'))
  await trying?.checkpoint('half', 1)
  await done?.complete(3)
  const backoff = { type: 'fixed', delayMs: 250_000 } as const
  const retried = await queue.enqueue('note', 1, { maxAttempts: 3, priority: 'high', backoff })
  const [again] = await queue.dequeue({ leaseMs: 600_000 })
  await again?.fail(new Error('once more'))
  const later = await queue.enqueue('note', 1, { delayMs: 600_000 })
  const bundled = await queue.enqueueMany(many(20))
  const alone = await queue.enqueueMany(many(40, { partitionKey: 'k' }))
  const leased = await queue.enqueueMany(many(20, { priority: 'high' }))
  const more = await queue.dequeue({ count: 20, leaseMs: 600_000 })
  expect(more.map(({ id }) => id).sort()).toEqual([...leased].sort())
  const id = (from: { id: string } | undefined) => from?.id ?? ''
  return {
    ...opened,
    dead: id(dying),
    done: id(done),
    checkpointed: id(trying),
    held: held.map(({ id }) => id),
    retried,
    later,
    bundle: (bundled[0] ?? '').slice(0, -1),
    bundled,
    alone,
    leased,
  }
}

type Stage = Awaited<ReturnType<typeof stage>>

const leaseOf = async ({ keys }: Stage, id: string): Promise<string> => {
  for (const lease of await redis.zrange(keys.leases, '0', '-1'))
    for (const name of await redis.smembers(keys.lease(lease)))
      if (name === id || name === id.slice(0, -1)) return lease
  throw new Error(`${id} is not held`)
}

/** Each makes one fault by hand. @returns what is to be found, kind by kind, with the names */
const FAULTS: readonly [what: string, make: (stage: Stage) => Promise<[FaultKind, readonly string[]][]>][] = [
  [
    'a task that was taken out of its list',
    async ({ keys, alone: [id = ''] }) => {
      await redis.lrem(keys.ready[1], 0, id)
      return [['nowhere', [id]]]
    },
  ],
  [
    'a bundle that was taken out of its list',
    async ({ keys, bundle, bundled }) => {
      await redis.lrem(keys.ready[1], 0, bundle)
      return [
        ['nowhere', bundled],
        ['bundled-count', []],
      ]
    },
  ],
  [
    'a task that was taken out of its lease',
    async (stage) => {
      const [id = ''] = stage.held
      await redis.srem(stage.keys.lease(await leaseOf(stage, id)), id)
      return [['nowhere', [id]]]
    },
  ],
  [
    'a bundle that was taken out of its lease',
    async (stage) => {
      const [id = ''] = stage.leased
      await redis.srem(stage.keys.lease(await leaseOf(stage, id)), id.slice(0, -1))
      return [
        ['lease-without-tasks', [expect.any(String)]],
        ['nowhere', stage.leased],
        ['bundled-count', []],
      ]
    },
  ],
  [
    'a task that is not scheduled any more',
    async ({ keys, later }) => {
      await redis.zrem(keys.scheduled, later)
      return [['nowhere', [later]]]
    },
  ],
  [
    'a dead task that is not among the dead',
    async ({ keys, dead }) => {
      await redis.zrem(keys.dead, dead)
      return [
        ['nowhere', [dead]],
        ['error-without-dead', [dead]],
      ]
    },
  ],
  [
    'a task twice in a list',
    async ({ keys, alone: [id = ''] }) => {
      await redis.rpush(keys.ready[1], id)
      return [['twice', [id]]]
    },
  ],
  [
    'a task in two lists',
    async ({ keys, alone: [id = ''] }) => {
      await redis.rpush(keys.ready[2], id)
      return [['twice', [id]]]
    },
  ],
  [
    'a task in a list and in a lease',
    async ({ keys, held: [id = ''] }) => {
      await redis.rpush(keys.ready[0], id)
      return [['twice', [id]]]
    },
  ],
  [
    'a task in two leases',
    async ({ keys, held: [id = ''] }) => {
      await redis.sadd(keys.lease('other'), id)
      await redis.zadd(keys.leases, Date.now() + 600_000, 'other')
      return [['twice', [id]]]
    },
  ],
  [
    'a scheduled task that is ready, too',
    async ({ keys, later }) => {
      await redis.rpush(keys.ready[1], later)
      return [['twice', [later]]]
    },
  ],
  [
    'a task that is dead and scheduled',
    async ({ keys, dead }) => {
      await redis.zadd(keys.scheduled, Date.now() + 600_000, dead)
      return [['twice', [dead]]]
    },
  ],
  [
    'a task of a bundle that stands by itself as well',
    async ({ keys, bundled }) => {
      const id = bundled[3] ?? ''
      await redis.rpush(keys.ready[1], id)
      return [['twice', [id]]]
    },
  ],
  [
    'a task with a record of its own and one in its bundle',
    async ({ keys, bundled }) => {
      const id = bundled[3] ?? ''
      await redis.hset(keys.tasks, id, '13|["note",1,1]')
      return [
        ['record-twice', [id]],
        ['counters', []],
      ]
    },
  ],
  [
    'a record that is none',
    async ({ keys, alone: [id = ''] }) => {
      await redis.hset(keys.tasks, id, 'garbage')
      return [['record-unreadable', [id]]]
    },
  ],
  [
    'a bundle with fewer records than tasks',
    async ({ keys, bundle }) => {
      await redis.hset(keys.tasks, bundle, '13|["note",1,1]')
      return [['record-unreadable', [bundle]]]
    },
  ],
  [
    'scheduled and dead tasks without a record',
    async ({ keys }) => {
      await redis.zadd(keys.scheduled, Date.now() + 600_000, '0.x')
      await redis.zadd(keys.dead, Date.now(), '0.y')
      return [
        ['scheduled-without-record', ['0.x']],
        ['dead-without-record', ['0.y']],
        ['dead-without-error', ['0.y']],
      ]
    },
  ],
  [
    'a dead task without an error',
    async ({ keys, dead }) => {
      await redis.hdel(keys.errors, dead)
      return [['dead-without-error', [dead]]]
    },
  ],
  [
    'attempts and checkpoints of tasks that are not there',
    async ({ keys }) => {
      await redis.hset(keys.attempts, '0.x', 1)
      await redis.hset(keys.checkpoints, '0.y~20', 'x')
      return [
        ['attempts-without-record', ['0.x']],
        ['checkpoints-without-record', ['0.y~20']],
      ]
    },
  ],
  [
    'a lease that holds nothing, and the set of one that never runs out',
    async (stage) => {
      const lease = await leaseOf(stage, stage.held[0] ?? '')
      await redis.zadd(stage.keys.leases, Date.now() + 600_000, 'empty')
      await redis.zrem(stage.keys.leases, lease)
      return [
        ['lease-without-tasks', ['empty']],
        ['nowhere', expect.arrayContaining(stage.held)],
        ['tasks-without-lease', [lease]],
      ]
    },
  ],
  [
    'a result that is never forgotten',
    async ({ keys, done }) => {
      await redis.zrem(keys.resultExpiry, done)
      return [['result-without-expiry', [done]]]
    },
  ],
  [
    'an expiry of a result that is not there',
    async ({ keys, done }) => {
      await redis.hdel(keys.results, done)
      return [['expiry-without-result', [done]]]
    },
  ],
  [
    'a wrong count of what bundles stand for',
    async ({ keys }) => {
      await redis.hincrby(keys.bundled, 'active', 1)
      return [['bundled-count', []]]
    },
  ],
  [
    'more tasks than were enqueued',
    async ({ keys }) => {
      await redis.hincrby(keys.counters, 'completed', 1)
      return [['counters', []]]
    },
  ],
  [
    'a key that is not of the queue',
    async ({ name, keys }) => {
      const key = keys.tasks.replace('tasks', 'stray')
      await redis.set(key, 1)
      await redis.set(keys.never, 1)
      await redis.set(`shardq:{${name}}:stray`, 1)
      return [
        ['unknown-key', [`shardq:{${name}}:stray`]],
        ['unknown-key', expect.arrayContaining([key, keys.never])],
      ]
    },
  ],
  [
    'keys that should expire, and do not',
    async ({ keys }) => {
      await redis.set(keys.producer('p'), 1)
      return [['key-without-expiry', [keys.producer('p')]]]
    },
  ],
  [
    'another number of partitions',
    async ({ name }) => {
      await redis.hset(queueKey(name), 'partitions', 2)
      return [['partition-count', []]]
    },
  ],
]

const sorted = (names: readonly string[]) => (Array.isArray(names) ? [...names].sort() : names)

describe.each(Object.keys(WAYS) as (keyof typeof WAYS)[])('a queue that is read %s', (way) => {
  it('is clean with tasks in every place', async () => {
    const { name, queue } = await stage()
    const depth = await queue.depth()
    const { high, medium, low } = depth.ready
    expect(await verify(name, way)).toEqual({
      queue: name,
      partitions: 1,
      tasks: high + medium + low + depth.active + depth.scheduled + depth.dead,
      namesWithoutRecord: 0,
      busy: 0,
      faults: [],
      unsettled: [],
      clean: true,
    })
  })

  it('is clean with names of tasks that were removed, also out of a bundle, and counts them', async () => {
    const { name, keys, bundle, bundled, alone } = await stage()
    const text = (await redis.hget(keys.tasks, bundle)) ?? ''
    const records = text.split('\n')
    await redis.hdel(keys.tasks, bundle, alone[0] ?? '')
    for (const [i, id] of bundled.entries())
      if (i !== 3) await redis.hset(keys.tasks, id, records[i] as string)
    await redis.hincrby(keys.counters, 'voided', 2)
    expect(await verify(name, way)).toMatchObject({ namesWithoutRecord: 2, faults: [], clean: true })
  })

  it.each(FAULTS)('shows %s, and nothing else', async (_, make) => {
    const made = await stage()
    const wanted = await make(made)
    const { faults, unsettled, clean } = await verify(made.name, way)
    expect(clean).toBe(false)
    expect(unsettled).toEqual([])
    const found = faults.map(({ kind, names }) => [kind, sorted(names)])
    const expected = wanted.map(([kind, names]) => [kind, sorted(names)])
    expect(found).toHaveLength(expected.length)
    expect(found).toEqual(expect.arrayContaining(expected))
  })
})

it('counts all, and names the first', async () => {
  const { queue, keys, name } = await open()
  await queue.enqueueMany(
    Array.from({ length: 100 }, (_, data) => ({
      type: 'note' as const,
      data,
      options: { partitionKey: 'k' },
    })),
  )
  await redis.del(keys.ready[1])
  for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[]) {
    const { faults } = await verify(name, way)
    expect(faults).toMatchObject([{ kind: 'nowhere', partition: 0, count: 100 }])
    expect(faults[0]?.names).toHaveLength(20)
  }
})

it('tells its progress, and ends when it is told to', async () => {
  const { queue } = await open({ partitions: 3 })
  const seen: number[] = []
  await queue.verify({ onProgress: ({ partition, partitions }) => seen.push(partition + partitions) })
  expect([...new Set(seen)]).toEqual([3, 4, 5])
  await expect(queue.verify({ signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough')
})

describe('a queue at full speed', () => {
  it.each(['in one moment', 'in pages'] as const)(
    'has no false alarm in 20 looks: %s',
    async (way) => {
      const results = way === 'in pages' ? { results: { ttlMs: 100 } } : {}
      const { queue, name } = await open({ partitions: 4, ...results })
      let going = true
      let waiting = 0
      let failed = 0
      const worker = new Worker<Tasks>(
        name,
        {
          note: async ({ data, attempt }) => {
            if (data % 7 === 0) await sleep(data % 5)
            if (data % 11 === 0 && attempt === 1) throw new Error('no')
            return data
          },
        },
        { connection: options, concurrency: 100, ...results },
      )
      worker.on('completed', () => waiting--)
      worker.on('failed', () => failed++)
      closers.push(() => worker.stop({ timeoutMs: 2_000 }))
      await worker.start()
      const producing = Array.from({ length: 2 }, async (_, producer) => {
        while (going) {
          const items = Array.from({ length: 40 }, (_, data) => ({
            type: 'note' as const,
            data: data + producer,
            options: {
              maxAttempts: 2,
              backoff: { type: 'fixed' as const, delayMs: data % 3 === 0 ? 0 : 50 },
              ...(data % 4 === 0 ? { delayMs: data } : {}),
              ...(data % 5 === 0 ? { partitionKey: `k${data}` } : {}),
            },
          }))
          waiting += items.length
          await queue.enqueueMany(items)
          while (going && waiting > 1_000) await sleep(1)
        }
      })
      const reports: VerifyReport[] = []
      for (let look = 0; look < 20; look++) reports.push(await verify(name, way, 4))
      going = false
      await Promise.all(producing)
      expect(reports.flatMap(({ faults, unsettled }) => [...faults, ...unsettled])).toEqual([])
      expect(failed).toBeGreaterThan(20)
      await eventually(() => expect(waiting).toBe(0))
      expect(await verify(name, 'in one moment', 4)).toMatchObject({ clean: true, busy: 0, tasks: 0 })
    },
    60_000,
  )
})
