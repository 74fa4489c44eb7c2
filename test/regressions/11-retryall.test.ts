import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type SingleServer, startSingle } from '../../src/cluster/index.js'
import { parseInfo } from '../../src/connection/info.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { until } from '../helpers/until.js'

const DEAD = 60
const BYTES = 300 * 1024

interface Tasks {
  note: string
  other: string
}

// Of its own: how much it sends is measured.
let server: SingleServer
let redis: Redis
let queue: TaskQueue<Tasks>

beforeAll(async () => {
  server = await startSingle()
  redis = new Redis(server.url)
  const options = { connection: { mode: 'single', url: server.url }, partitions: 2 } as const
  queue = new TaskQueue<Tasks>('dead', options)
  await queue.connect()
  const items = Array.from({ length: DEAD }, (_, i) => ({
    type: i % 3 === 0 ? ('other' as const) : ('note' as const),
    data: 'x'.repeat(BYTES),
    options: { maxAttempts: 1 },
  }))
  await queue.enqueueMany(items)
  const fail = () => {
    throw new Error('it fails')
  }
  const worker = new Worker<Tasks>('dead', { note: fail, other: fail }, { ...options, concurrency: 50 })
  let dead = 0
  worker.on('dead', () => dead++)
  await worker.start()
  await until(
    'all are dead',
    async () => dead,
    (count) => count === DEAD,
  )
  await worker.stop()
})

afterAll(async () => {
  redis.disconnect()
  await queue.disconnect()
  await server.stop()
})

/** What the server has sent meanwhile, to all. */
async function bytesSentDuring(work: () => Promise<unknown>): Promise<number> {
  const sent = async () => Number(parseInfo(await redis.info('stats')).get('total_net_output_bytes'))
  const before = await sent()
  await work()
  return (await sent()) - before
}

it('lists large dead tasks, each once and the latest first, in replies of bounded size', async () => {
  const { items, cursor } = await queue.deadLetters.list({ limit: 1_000 })
  expect(cursor).toBe(null)
  expect(items.map(({ data }) => (data as string).length)).toEqual(new Array(DEAD).fill(BYTES))
  expect(new Set(items.map(({ id }) => id)).size).toBe(DEAD)
  const times = items.map(({ diedAt }) => diedAt)
  expect(times).toEqual([...times].sort((a, b) => b - a))
  // It would be 60 of them in one; what the worker has fetched at once before counts too.
  const clients = parseInfo(await redis.info('clients'))
  expect(Number(clients.get('client_recent_max_output_buffer'))).toBeLessThan(16 * BYTES)
  const paged: string[] = []
  for (let next: string | null = null; ; ) {
    const page: Awaited<ReturnType<typeof queue.deadLetters.list>> = await queue.deadLetters.list({
      limit: 7,
      cursor: next,
    })
    paged.push(...page.items.map(({ id }) => id))
    next = page.cursor
    if (next === null) break
  }
  expect(paged).toEqual(items.map(({ id }) => id))
})

it('reads no more than it lists, but for a page of each partition', async () => {
  const bytes = await bytesSentDuring(() => queue.deadLetters.list({ limit: 4 }))
  expect(bytes).toBeLessThan((4 + 2 * 3) * BYTES)
})

it('walks through very many that died in one ms', async () => {
  const [partition] = makePartitions('crowd', 1)
  const crowd = new TaskQueue('crowd', { connection: { mode: 'single', url: server.url }, partitions: 1 })
  await crowd.connect()
  const ids = Array.from({ length: 2_500 }, (_, i) => `0.x${i.toString(36)}`)
  const { keys } = partition as NonNullable<typeof partition>
  await redis.zadd(keys.dead, ...ids.flatMap((id) => [1_700_000_000_000, id]))
  await redis.hset(keys.tasks, ...ids.flatMap((id) => [id, `14|["note",1,"${id}"]`]))
  const listed: string[] = []
  for (let cursor: string | null = null; ; ) {
    const page: Awaited<ReturnType<typeof crowd.deadLetters.list>> = await crowd.deadLetters.list({
      limit: 300,
      cursor,
    })
    listed.push(...page.items.map(({ id }) => id))
    cursor = page.cursor
    if (cursor === null) break
  }
  expect(listed).toEqual([...ids].sort().reverse())
  // One whose record is missing can be seen and removed, and is not lost sight of by a retry.
  await redis.hdel(keys.tasks, '0.x7')
  expect(await crowd.deadLetters.retry('0.x7')).toBe(false)
  expect(await crowd.deadLetters.remove('0.x7')).toBe(true)
  expect(await crowd.deadLetters.remove('0.x7')).toBe(false)
  expect(await crowd.deadLetters.retry('0.x8')).toBe(true)
  expect(await crowd.deadLetters.retryAll()).toBe(ids.length - 2)
  await crowd.disconnect()
})

it('retries those of one type, and purges, without sending the tasks', async () => {
  const { deadLetters } = queue
  const counts: number[] = []
  const bytes = await bytesSentDuring(async () => {
    counts.push(await deadLetters.retryAll({ type: 'nobody' }))
    counts.push(await deadLetters.retryAll({ type: 'other' }))
    counts.push(await deadLetters.purge())
  })
  expect(counts).toEqual([0, DEAD / 3, (DEAD * 2) / 3])
  expect(bytes).toBeLessThan(BYTES)
})
