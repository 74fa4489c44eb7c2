import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Address, type LocalCluster, startSingle } from '../../src/cluster/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'
import { listQueues, type QueueOptions, TaskQueue, Worker } from '../../src/index.js'
import { QUEUES_KEY, queueKey } from '../../src/keys/keys.js'
import { slotOf } from '../../src/keys/slots.js'
import { type Endpoint, instrument, Registry, startEndpoint } from '../../src/metrics/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { Exposition } from '../helpers/exposition.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'

interface Tasks {
  good: number
  bad: number
  third: number
}

const COUNTERS = [
  ...['enqueued', 'delivered', 'completed', 'failed', 'retried', 'dead_lettered', 'recovered', 'rerouted'],
  'unconfirmed',
]

const onCluster = (nodes: readonly Address[]): ConnectionOptions => ({ mode: 'cluster', nodes })

async function endpointOf(connection: ConnectionOptions, timeoutMs = 1_000): Promise<Endpoint> {
  const endpoint = await startEndpoint({ connection, port: 0, timeoutMs })
  onTestFinished(() => endpoint.close())
  return endpoint
}

async function queueOf(
  name: string,
  connection: ConnectionOptions,
  options: Partial<QueueOptions> = {},
): Promise<TaskQueue<Tasks>> {
  const queue = new TaskQueue<Tasks>(name, { connection, ...options })
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  return queue
}

const many = (type: keyof Tasks, count: number, options: object = {}) =>
  Array.from({ length: count }, (_, data) => ({ type, data, options }))

/** Runs a worker until all that is ready has been settled. */
async function workOff(queue: TaskQueue<Tasks>, connection: ConnectionOptions): Promise<void> {
  const worker = new Worker<Tasks>(
    queue.name,
    {
      good: () => new Promise((resolve) => setTimeout(resolve, 2)),
      bad: () => {
        throw new Error('bad')
      },
    },
    { connection, concurrency: 20 },
  )
  await worker.start()
  try {
    await eventually(async () => {
      const { ready, active } = await queue.depth()
      expect([ready.high, ready.medium, ready.low, active]).toEqual([0, 0, 0, 0])
    }, 10_000)
  } finally {
    await worker.stop()
  }
}

function countersOf(found: Exposition, queue: string): Record<string, number | undefined> {
  return Object.fromEntries(
    COUNTERS.map((name) => [name, found.value(`task_queue_${name}_total`, { queue })]),
  )
}

/** Known work: 30 good tasks done, 5 bad ones dead, 1 tried again after 10 min, 4 delayed, 9 ready, 2 active. */
async function knownWork(name: string, connection: ConnectionOptions): Promise<TaskQueue<Tasks>> {
  const queue = await queueOf(name, connection)
  await queue.enqueueMany([
    ...many('good', 30),
    ...many('bad', 5, { maxAttempts: 1 }),
    ...many('bad', 1, { backoff: { type: 'fixed', delayMs: 600_000, jitter: 0 } }),
  ])
  await workOff(queue, connection)
  await queue.enqueueMany([
    ...many('good', 4, { delayMs: 600_000 }),
    ...many('good', 2, { priority: 'high' }),
    ...many('good', 6, { priority: 'low' }),
    ...many('good', 3),
  ])
  const held = await queue.dequeue({ count: 2, blockMs: 5_000 })
  expect(held).toHaveLength(2)
  return queue
}

function expectKnownWork(found: Exposition, queue: string, shards: number): void {
  expect(countersOf(found, queue)).toEqual({
    enqueued: 51,
    delivered: 38,
    completed: 30,
    failed: 6,
    retried: 1,
    dead_lettered: 5,
    recovered: 0,
    rerouted: 0,
    unconfirmed: 0,
  })
  const depth = (state: string, priority: string) =>
    found.value('task_queue_depth', { queue, state, priority })
  expect([depth('ready', 'high'), depth('ready', 'medium'), depth('ready', 'low')]).toEqual([0, 3, 6])
  expect([depth('active', ''), depth('scheduled', ''), depth('dead', '')]).toEqual([2, 5, 5])
  expect(found.all('task_queue_depth', { queue })).toHaveLength(6 * shards)
  expect(Math.max(...found.values('task_queue_oldest_ready_seconds', { queue }))).toBeGreaterThan(0)
  expect(found.value('task_queue_schedule_lag_seconds', { queue })).toBe(0)
  expect(found.value('task_queue_workers', { queue })).toBe(1)
  expect(found.value('task_queue_paused', { queue })).toBe(0)
  for (const [name, count] of [
    ['wait', 36],
    ['processing', 36],
  ] as const) {
    expect(found.value(`task_queue_${name}_seconds_count`, { queue }), name).toBe(count)
    expect(found.value(`task_queue_${name}_seconds_bucket`, { queue, le: '+Inf' })).toBe(count)
  }
  // Thirty handlers that take 2 ms by the timer, which may be a little early.
  expect(found.value('task_queue_processing_seconds_sum', { queue })).toBeGreaterThan(0.03)
  expect(found.value('task_queue_processing_seconds_bucket', { queue, le: '0.001' })).toBeLessThanOrEqual(6)
}

describe('the queues of a cluster', () => {
  let cluster: LocalCluster
  let connection: ConnectionOptions
  let dispose: () => Promise<void>
  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster())
    connection = onCluster(cluster.seeds)
  })
  afterAll(() => dispose())

  test('tell what has become of known work', async () => {
    const { url } = await endpointOf(connection)
    const queue = await knownWork('known', connection)
    // Its workers count its consumer, too, once it listens everywhere.
    await eventually(async () => {
      expect((await Exposition.of(url)).value('task_queue_workers', { queue: 'known' })).toBe(1)
    })
    expectKnownWork(await Exposition.of(url), 'known', 3)
    expect(await queue.stats()).toMatchObject({ enqueued: 51, completed: 30, dead: 5 })
  })

  test('that are paused, and whose schedule lags, say so', async () => {
    const { url } = await endpointOf(connection)
    const queue = await queueOf('lagging', connection)
    await queue.enqueue('good', 1, { delayMs: 1 })
    await queue.pause()
    await eventually(async () => {
      const found = await Exposition.of(url)
      expect(found.value('task_queue_paused', { queue: 'lagging' })).toBe(1)
      expect(found.value('task_queue_schedule_lag_seconds', { queue: 'lagging' })).toBeGreaterThan(0.05)
      expect(found.value('task_queue_depth', { queue: 'lagging', state: 'scheduled' })).toBe(1)
    })
    await queue.resume()
    expect((await Exposition.of(url)).value('task_queue_paused', { queue: 'lagging' })).toBe(0)
  })

  test('have as many workers as are connected', async () => {
    const { url } = await endpointOf(connection)
    await queueOf('staffed', connection)
    const workers = [1, 2, 3].map(() => new Worker<Tasks>('staffed', {}, { connection }))
    onTestFinished(async () => {
      await Promise.all(workers.map((worker) => worker.stop()))
    })
    const count = async () => (await Exposition.of(url)).value('task_queue_workers', { queue: 'staffed' })
    expect(await count()).toBe(0)
    await Promise.all(workers.map((worker) => worker.start()))
    await eventually(async () => expect(await count()).toBe(3))
    await workers[0]?.stop()
    await eventually(async () => expect(await count()).toBe(2))
  })

  test('are listed; those whose keys are gone are not', async () => {
    await queueOf('listed-b', connection)
    await queueOf('listed-a', connection)
    const listed = async () => (await listQueues(connection)).filter((name) => name.startsWith('listed-'))
    await eventually(async () => expect(await listed()).toEqual(['listed-a', 'listed-b']))
    const { url } = await endpointOf(connection)
    await Exposition.of(url)
    const queue = await queueOf('listed-c', connection)
    await queue.enqueue('good', 1)
    await eventually(async () => {
      expect((await Exposition.of(url)).value('task_queue_enqueued_total', { queue: 'listed-c' })).toBe(1)
    })
  })

  test('and what one process does, by type, with no more labels than are asked for', async () => {
    const registry = new Registry()
    const queue = await queueOf('instrumented', connection)
    await queue.enqueueMany([...many('good', 4), ...many('bad', 3, { maxAttempts: 1 }), ...many('third', 2)])
    const worker = new Worker<Tasks>(
      'instrumented',
      {
        good: () => undefined,
        bad: () => {
          throw new Error('bad')
        },
        third: () => undefined,
      },
      { connection, concurrency: 1 },
    )
    const removals = [instrument(worker, { registry, mostTypes: 2 }), instrument(queue, { registry })]
    await worker.start()
    const read = async () => new Exposition(await registry.metrics())
    const tasks = (found: Exposition, labels: Record<string, string>) =>
      found.value('task_queue_worker_tasks_total', { queue: 'instrumented', ...labels })
    await eventually(async () => {
      const found = await read()
      expect([tasks(found, { outcome: 'completed' }), tasks(found, { outcome: 'dead' })]).toEqual([6, 3])
    })
    const found = await read()
    const types = new Set(found.all('task_queue_worker_tasks_total').map(({ labels }) => labels.type))
    expect(types.size).toBe(3)
    expect(types.has('other')).toBe(true)
    for (const name of ['wait', 'processing'])
      expect(found.value(`task_queue_worker_${name}_seconds_count`)).toBe(9)
    expect(found.value('task_queue_client_commands_total', { queue: 'instrumented' })).toBeGreaterThan(0)
    expect(found.value('task_queue_client_tasks_total', { event: 'rerouted' })).toBe(0)
    await worker.stop()
    expect((await read()).value('task_queue_worker_active')).toBe(0)
    for (const remove of removals) remove()
    expect((await registry.metrics()).trim()).toBe('')
  })
})

test('a single server tells the same', async () => {
  const single = await startSingle()
  onTestFinished(() => single.stop())
  const connection = { mode: 'single', url: single.url } as const
  await knownWork('alone', connection)
  // Whoever names a node need not know whether it is one of a cluster.
  for (const target of [connection, onCluster([{ host: single.host, port: single.port }])]) {
    const { url } = await endpointOf(target)
    await eventually(async () => {
      expect((await Exposition.of(url)).value('task_queue_workers', { queue: 'alone' })).toBe(1)
    })
    const found = await Exposition.of(url)
    expectKnownWork(found, 'alone', 1)
    expect(found.values('redis_cluster_enabled')).toEqual([0])
    expect(found.values('shardq_cluster_masters')).toEqual([])
    expect(found.values('shardq_cluster_failed_nodes')).toEqual([0])
  }
})

test('tasks that no replica confirms are counted, and those that go elsewhere for it', async () => {
  const cluster = await ownCluster()
  const connection = onCluster(cluster.seeds)
  const { url } = await endpointOf(connection, 500)
  const queue = await queueOf('short', connection)
  await queue.enqueueMany(many('good', 100))
  const [victim] = cluster.nodes.filter(({ role }) => role === 'replica')
  if (!victim) throw new Error('a cluster without replicas')
  await cluster.freezeNode(victim.port)
  try {
    await eventually(async () => {
      await queue.enqueueMany(many('good', 100))
      expect((await queue.stats()).unconfirmed).toBeGreaterThan(0)
    }, 10_000)
  } finally {
    await cluster.resumeNode(victim.port)
  }
  // The last of them are told when it ends, at the latest.
  const { unconfirmed, reroutes } = await queue.stats()
  expect(reroutes).toBeGreaterThan(0)
  await queue.disconnect()
  const found = await Exposition.of(url)
  expect(found.value('task_queue_unconfirmed_total', { queue: 'short' })).toBe(unconfirmed)
  expect(found.value('task_queue_rerouted_total', { queue: 'short' })).toBe(reroutes)
}, 30_000)

test('a master that is frozen: its shard is left out, the counters stay, and a scrape has its bound', async () => {
  // Without replicas, so that nobody takes its place.
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const connection = onCluster(cluster.seeds)
  const { url } = await endpointOf(connection, 400)
  const queue = await queueOf('half', connection, { durability: 'async' })
  await queue.enqueueMany(many('good', 300))
  await eventually(async () => {
    expect((await Exposition.of(url)).value('task_queue_enqueued_total', { queue: 'half' })).toBe(300)
  })
  for (const { port } of cluster.nodes) {
    await cluster.freezeNode(port)
    try {
      for (let time = 0; time < 2; time++) {
        const startedMs = performance.now()
        const found = await Exposition.of(url)
        expect(performance.now() - startedMs).toBeLessThan(2_500)
        expect(found.value('task_queue_enqueued_total', { queue: 'half' })).toBe(300)
        const shards = new Set(
          found.all('task_queue_depth', { queue: 'half' }).map(({ labels }) => labels.shard),
        )
        expect(shards.size).toBe(2)
        expect([...shards].some((shard) => shard?.endsWith(`:${port}`))).toBe(false)
      }
    } finally {
      await cluster.resumeNode(port)
    }
    await eventually(async () => {
      const found = await Exposition.of(url)
      expect(found.value('task_queue_depth', { queue: 'half', state: 'ready' })).toBe(300)
    }, 10_000)
  }
}, 40_000)

test('a queue connects although the master that lists all queues is down, and says what it could not do', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { nodes } = await cluster.status()
  const owner = (slot: number) =>
    nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))?.port ?? 0
  const lister = owner(slotOf(QUEUES_KEY))
  const name = Array.from({ length: 100 }, (_, i) => `apart-${i}`).find(
    (one) => owner(slotOf(queueKey(one))) !== lister,
  )
  const connection = onCluster(cluster.seeds)
  const errors: Error[] = []
  const queue = new TaskQueue<Tasks>(name ?? '', {
    connection,
    durability: 'async',
    enqueueTimeoutMs: 2_000,
  })
  queue.on('error', (error) => errors.push(error))
  onTestFinished(() => queue.disconnect())
  await cluster.freezeNode(lister)
  try {
    await queue.connect()
    await queue.enqueue('good', 1)
    await eventually(
      () => expect(errors.map(({ message }) => message).join()).toContain('is not listed'),
      10_000,
    )
  } finally {
    await cluster.resumeNode(lister)
  }
}, 40_000)
