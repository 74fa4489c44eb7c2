import { randomBytes } from 'node:crypto'
import { Cluster } from 'ioredis'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { removeKeys } from '../helpers/behaviour/harness.js'
import { shardq } from '../helpers/cli.js'

const connection = { mode: 'cluster', nodes: inject('cluster').nodes } as const
const [seed] = connection.nodes
const node = ['--node', `${seed?.host}:${seed?.port}`]
const name = `t-${randomBytes(5).toString('hex')}`
const queue = new TaskQueue<{ note: unknown; other: unknown }>(name, { connection })

beforeAll(() => queue.connect())
afterAll(async () => {
  await queue.disconnect()
  await removeKeys(connection, name)
})

async function json(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await shardq([...args, ...node, '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Record<string, unknown>
}

/** So many tasks of one type into the dead letters. */
async function bury(type: 'note' | 'other', count: number): Promise<string[]> {
  const ids = await Promise.all(
    Array.from({ length: count }, (_, n) => queue.enqueue(type, n, { priority: 'high', maxAttempts: 1 })),
  )
  const left = new Set(ids)
  while (left.size > 0) {
    for (const delivery of await queue.dequeue({ count: 10, priority: 'high' })) {
      await delivery.fail(new Error('it was\nnot to be'))
      left.delete(delivery.id)
    }
  }
  return ids
}

test('list and stats: depth by shard and by queue, counters', async () => {
  await queue.enqueueMany(Array.from({ length: 30 }, (_, n) => ({ type: 'note' as const, data: n })))
  await queue.enqueue('note', 'later', { delayMs: 600_000 })
  const { queues, error } = (await json('queue', 'list')) as { queues: { name: string }[]; error: unknown }
  expect(error).toBeNull()
  expect(queues.find((each) => each.name === name)).toMatchObject({
    ready: { high: 0, medium: 30, low: 0 },
    scheduled: 1,
    dead: 0,
    paused: false,
    silent: 0,
  })
  const stats = await json('queue', 'stats', name)
  expect(stats.queues).toMatchObject([{ name, counters: { enqueued: 31 } }])
  const all = await json('queue', 'stats')
  expect(all.shards).toHaveLength(3)
  const text = await shardq(['queue', 'stats', name, ...node])
  expect(text.stdout).toContain('since it was made')
  expect(text.stdout.includes('\u001b')).toBe(false)
})

test('cluster status shows the same beside the nodes', async () => {
  const status = (await json('cluster', 'status')) as {
    state: string
    queues: { queues: { name: string }[]; shards: unknown[] }
  }
  expect(status.state).toBe('ok')
  expect(status.queues.shards).toHaveLength(3)
  expect(status.queues.queues.map((each) => each.name)).toContain(name)
  expect((await shardq(['cluster', 'status', ...node])).stdout).toContain('all queues on')
  expect((await shardq(['cluster', 'status', '--no-queues', ...node])).stdout).not.toContain('all queues on')
})

test('peek shows, and takes nothing', async () => {
  const { tasks } = (await json('queue', 'peek', name, '--limit', '5')) as { tasks: unknown[] }
  expect(tasks).toHaveLength(5)
  expect(tasks[0]).toMatchObject({ type: 'note', priority: 'medium', state: 'ready' })
  await queue.enqueue('note', 'x'.repeat(5_000), { priority: 'high' })
  const { stdout } = await shardq(['queue', 'peek', name, ...node])
  for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(160)
  expect((await queue.depth()).ready).toMatchObject({ high: 1, medium: 30 })
  const [delivery] = await queue.dequeue({ priority: 'high' })
  await delivery?.complete()
})

test('pause and resume', async () => {
  expect(await json('queue', 'pause', name)).toEqual({ queue: name, paused: true })
  expect(await queue.dequeue({ blockMs: 200 })).toEqual([])
  expect((await shardq(['queue', 'list', ...node])).stdout).toContain('paused')
  expect(await json('queue', 'resume', name)).toEqual({ queue: name, paused: false })
  const [delivery] = await queue.dequeue({ blockMs: 5_000 })
  expect(delivery).toBeDefined()
  await delivery?.complete()
})

describe('dead letters', () => {
  test('list, retry by id and by type, purge', async () => {
    const [first = ''] = await bury('note', 4)
    await bury('other', 2)
    const page = (await json('queue', 'dead', 'list', name, '--limit', '4')) as {
      items: unknown[]
      cursor: string
    }
    expect(page.items).toHaveLength(4)
    expect(page.items[0]).toMatchObject({ state: 'dead', error: { message: 'it was\nnot to be' } })
    const rest = await json('queue', 'dead', 'list', name, '--limit', '4', '--cursor', page.cursor)
    expect(rest.items).toHaveLength(2)
    expect((await shardq(['queue', 'dead', 'list', name, ...node])).stdout).toContain(
      'Error: it was not to be',
    )

    expect(await json('queue', 'dead', 'retry', name, first)).toMatchObject({ retried: 1, missing: [] })
    const again = await shardq(['queue', 'dead', 'retry', name, first, ...node])
    expect(again.code).toBe(1)
    expect(again.stdout).toContain(`${first} is no dead task`)
    expect(await json('queue', 'dead', 'retry', name, '--type', 'other')).toMatchObject({ retried: 2 })
    expect((await queue.depth()).dead).toBe(3)

    const unasked = await shardq(['queue', 'dead', 'purge', name, ...node])
    expect(unasked).toMatchObject({ code: 2, stdout: `3 dead tasks in ${name}\n` })
    expect((await queue.depth()).dead).toBe(3)
    expect(await json('queue', 'dead', 'purge', name, '--yes')).toEqual({ queue: name, removed: 3 })
    expect((await queue.depth()).dead).toBe(0)
  })

  test.each([[], ['--all', '--type', 'note'], ['1.a', '--all']])(
    'retry %s is wrong usage',
    async (...args) => {
      expect(await shardq(['queue', 'dead', 'retry', name, ...args, ...node])).toMatchObject({
        code: 2,
        stdout: '',
      })
    },
  )
})

test.each(['stats', 'peek', 'pause', 'dead list', 'dead purge'])(
  '%s of a queue that is not there: exit 1, and none is made',
  async (command) => {
    const missing = `${name}-missing`
    const found = await shardq(['queue', ...command.split(' '), missing, ...node])
    expect(found).toMatchObject({ code: 1, stdout: '' })
    expect(found.stderr).toContain('shardq queue list')
    expect((await shardq(['queue', 'list', ...node])).stdout).not.toContain(missing)
  },
)

test('queue list on a server that is not there says so', async () => {
  const found = await shardq(['queue', 'list', '--node', '127.0.0.1:1'])
  expect(found.code).toBe(1)
  expect(found.stderr).toContain('no answer from 127.0.0.1:1')
})

test('verify: clean, and what is wrong by name', async () => {
  expect(await json('queue', 'verify', name)).toMatchObject({ queue: name, clean: true, faults: [] })
  const clean = await shardq(['queue', 'verify', name, ...node])
  expect(clean).toMatchObject({ code: 0, stdout: expect.stringContaining('✓ structure: clean') })
  const id = await queue.enqueue('note', 1, { partitionKey: 'k' })
  const partition = makePartitions(name, 12)[Number.parseInt(id, 36)]
  const keys = partition?.keys
  if (!keys) throw new Error('no partition')
  const client = new Cluster([...connection.nodes])
  await client.lrem(keys.ready[1], 0, id)
  const broken = await shardq(['queue', 'verify', name, ...node])
  expect(broken).toMatchObject({ code: 1, stderr: '' })
  expect(broken.stdout).toContain(`✗ partition ${partition?.index}: 1 × in no ready list`)
  expect(broken.stdout).toContain(id)
  const document = JSON.parse((await shardq(['queue', 'verify', name, ...node, '--json'])).stdout)
  expect(document).toMatchObject({ clean: false, faults: [{ kind: 'nowhere', count: 1, names: [id] }] })
  await client.rpush(keys.ready[1], id)
  client.disconnect()
  expect((await shardq(['queue', 'verify', `${name}-not`, ...node])).stderr).toContain('there is no queue')
})
