import { expect, inject, it } from 'vitest'
import {
  type AnyDelivery,
  DeliverySettledError,
  NotReplicatedError,
  QueueUnavailableError,
  type Worker,
} from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import type { Consumer } from '../../src/queue/consumer.js'
import { Delivery, type DeliveryHost } from '../../src/queue/delivery.js'
import type { Durability } from '../../src/queue/durability.js'
import { resolveEnqueueOptions } from '../../src/queue/enqueue-options.js'
import { Lease } from '../../src/queue/lease.js'
import { decodeRecord, encodeRecord } from '../../src/queue/task.js'
import { eventually, makeHarness, type TestTasks } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

type Note = AnyDelivery<TestTasks>

/** What each way to settle does once, in the words of DeliverySettledError. */
const WAYS = {
  completed: (task: Note) => task.complete(),
  retried: (task: Note) => task.fail(new Error('no')),
  dead: (task: Note) => task.fail(new Error('never'), { retry: false }),
  released: (task: Note) => task.release(),
} as const

async function oneDelivery(results = false) {
  const queue = await harness.queue({ partitions: 1, ...(results ? { results: { ttlMs: 60_000 } } : {}) })
  await queue.enqueue('note', 1, { backoff: { type: 'fixed', delayMs: 60_000 } })
  const [delivery] = await queue.dequeue()
  if (!delivery) throw new Error('no delivery')
  return { queue, delivery }
}

it.each(Object.keys(WAYS) as (keyof typeof WAYS)[])(
  '%s: the same call gives the same promise, any other is refused and not sent',
  async (way) => {
    const { queue, delivery } = await oneDelivery()
    const first = WAYS[way](delivery)
    expect(WAYS[way](delivery)).toBe(first)
    const others = [
      ...Object.entries(WAYS).flatMap(([other, call]) => {
        const same =
          other === way || (['retried', 'dead'].includes(way) && ['retried', 'dead'].includes(other))
        return same ? [] : [() => call(delivery)]
      }),
      () => delivery.extend(1_000),
      () => delivery.checkpoint('half', 1),
    ]
    // At once, while it is under way, and when it is done.
    for (let round = 0; round < 2; round++) {
      for (const call of others) {
        const error = await (call() as Promise<unknown>).then(
          () => undefined,
          (thrown: unknown) => thrown,
        )
        expect(error).toBeInstanceOf(DeliverySettledError)
        expect(error).toMatchObject({ taskId: delivery.id, settledAs: way })
        expect((error as Error).message).toContain(delivery.id)
      }
      await first
    }
    expect(await WAYS[way](delivery)).toBe(await first)
    const { ready, ...depth } = await queue.depth()
    expect({ ready: ready.medium, ...depth }).toEqual({
      ready: way === 'released' ? 1 : 0,
      active: 0,
      scheduled: way === 'retried' ? 1 : 0,
      dead: way === 'dead' ? 1 : 0,
    })
    const stats = await queue.stats()
    expect(stats.completed).toBe(way === 'completed' ? 1 : 0)
  },
)

/** Two of one task in one call took the lease for empty, and with it the other task that was in it. */
it('complete() twice in the same breath harms no other task of its lease', async () => {
  const queue = await harness.queue({ partitions: 1 })
  for (const data of ['x', 'y']) await queue.enqueue('note', data, { idempotencyKey: data })
  const [x, y] = await queue.dequeue({ count: 2 })
  await Promise.all([x?.complete(), x?.complete()])
  expect(await y?.fail(new Error('no'), { retry: false })).toBe('dead')
  expect(await queue.depth()).toMatchObject({ active: 0, dead: 1 })
})

it('a call that the queue refused may be tried again, or another', async () => {
  const { queue, delivery } = await oneDelivery(true)
  await expect(delivery.complete(10n)).rejects.toThrow('BigInt')
  await expect(delivery.fail(new Error('no'), { retries: false } as never)).rejects.toThrow('retries')
  expect(await delivery.fail(new Error('no'), { retry: false })).toBe('dead')
  expect((await queue.depth()).dead).toBe(1)
})

it.each([
  new QueueUnavailableError('q', 'its shard is out of reach'),
  new NotReplicatedError('q', '0.x', 'no replica'),
])('after %s', async (refusal) => {
  let calls = 0
  const nothing = () => undefined
  const lane = { settling: nothing, left: nothing, reopened: nothing }
  const refusing: Pick<Durability, 'call'> = {
    call: () => {
      calls++
      return Promise.reject(refusal)
    },
  }
  const [partition] = makePartitions('q', 1)
  if (!partition) throw new Error('no partition')
  const record = decodeRecord('0.x', encodeRecord('"note"', '1', resolveEnqueueOptions(undefined)))
  const task = { id: '0.x', bundle: undefined, place: 0, record: '', attemptsUsed: 0 }
  const delivery = new Delivery(
    { durability: refusing, consumer: { lane: () => lane } as unknown as Consumer } as DeliveryHost,
    new Lease(partition, 'l', 1_000, performance.now()),
    task,
    record,
  )
  await expect(delivery.fail(new Error('no'))).rejects.toBe(refusal)
  await expect(delivery.fail(new Error('no'))).rejects.toBe(refusal)
  const other = delivery.release()
  if (refusal instanceof NotReplicatedError) {
    // The master did it, once.
    await expect(other).rejects.toBeInstanceOf(DeliverySettledError)
    expect({ calls, leases: delivery.leases }).toEqual({ calls: 1, leases: [] })
  } else {
    await expect(other).rejects.toBe(refusal)
    expect({ calls, leases: delivery.leases.length }).toEqual({ calls: 3, leases: 1 })
  }
})

it('what is settled while it is extended is settled by the lease that this brings', async () => {
  const queue = await harness.queue({ partitions: 1 })
  await queue.enqueueMany(Array.from({ length: 4 }, (_, i) => ({ type: 'note' as const, data: i })))
  const [a, b, c, d] = await queue.dequeue({ count: 4 })
  await Promise.all([
    a?.extend(60_000),
    a?.complete(),
    b?.extend(60_000),
    b?.fail(new Error('no'), { retry: false }),
    c?.extend(60_000),
    c?.extend(70_000),
    d?.release(),
  ])
  await c?.complete()
  expect(await queue.depth()).toMatchObject({ ready: { medium: 1 }, active: 0, dead: 1 })
})

/** What a handler does with its own delivery, and what the worker has to tell of it. */
const HANDLERS: Record<string, { run(task: Note): unknown; tells: string }> = {
  'complete, awaited': {
    run: async (task) => {
      await task.complete('own')
      return 'returned'
    },
    tells: 'completed own',
  },
  'complete, not awaited': { run: (task) => void task.complete('own'), tells: 'completed own' },
  'complete twice, not awaited': {
    run: (task) => {
      void task.complete('own')
      void task.complete('again')
    },
    tells: 'completed own',
  },
  'fail for good': {
    run: (task) => task.fail(new Error('own'), { retry: false }),
    tells: 'dead own',
  },
  'fail, and throw the same': {
    run: async (task) => {
      const error = new Error('own')
      await task.fail(error, { retry: false })
      throw error
    },
    tells: 'dead own',
  },
  fail: { run: (task) => void task.fail('own'), tells: 'failed own' },
  release: {
    run: (task) => (task.attempt === 1 && !seen.has(task.id) ? task.release() : 'later'),
    tells: 'completed later',
  },
}
const seen = new Set<string>()

async function workerOn(name: string, events: string[], handler: (task: Note) => unknown) {
  const worker: Worker<TestTasks> = await harness.worker(
    name,
    {
      note: async (task) => {
        try {
          return await handler(task)
        } finally {
          seen.add(task.id)
        }
      },
    },
    { leaseMs: 500, concurrency: 20 },
  )
  const kind = (task: Note) => (task.data as { kind: string }).kind
  worker.on('completed', ({ task, result }) => events.push(`${kind(task)}: completed ${result}`))
  worker.on('failed', ({ task, error }) => events.push(`${kind(task)}: failed ${error.message}`))
  worker.on('dead', ({ task, error }) => events.push(`${kind(task)}: dead ${error.message}`))
  worker.on('error', (error) => events.push(`error ${error.name}: ${error.message}`))
  return worker
}

it('a worker follows a handler that settles its own delivery', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const events: string[] = []
  await queue.enqueueMany(
    Object.keys(HANDLERS).map((kind) => ({
      type: 'note' as const,
      data: { kind },
      options: { backoff: { type: 'fixed', delayMs: 60_000 } },
    })),
  )
  const worker = await workerOn(queue.name, events, (task) =>
    HANDLERS[(task.data as { kind: string }).kind]?.run(task),
  )
  const expected = Object.entries(HANDLERS).map(([kind, { tells }]) => `${kind}: ${tells}`)
  await eventually(() => expect(events.length).toBeGreaterThanOrEqual(expected.length))
  await worker.stop()
  expect(events.sort()).toEqual(expected.sort())
  expect(worker.health().metrics).toEqual({ completed: 4, failed: 3, dead: 2, lost: 0 })
  expect(await queue.depth()).toMatchObject({ active: 0, scheduled: 1, dead: 2 })
})

it('a handler that lingers after it has settled its delivery has lost no lease; what it throws then is told', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const events: string[] = []
  await queue.enqueue('note', { kind: 'lingers' })
  await queue.enqueue('note', { kind: 'too long' }, { timeoutMs: 1_000 })
  const worker = await workerOn(queue.name, events, async (task) => {
    await task.complete('own')
    // Longer than its lease, and three rounds of renewals.
    await new Promise((resolve) => setTimeout(resolve, 1_400))
    throw new Error('afterwards')
  })
  await eventually(() => expect(events.length).toBeGreaterThanOrEqual(4))
  await worker.stop()
  expect(events.sort()).toEqual([
    'error Error: afterwards',
    expect.stringContaining('error TaskTimeoutError'),
    'lingers: completed own',
    'too long: completed own',
  ])
  expect(worker.health().metrics).toEqual({ completed: 2, failed: 0, dead: 0, lost: 0 })
})

/** vitest fails the run for a rejection that nobody handles, which would end a process. */
it('what a handler calls and does not await, after it was given up, ends nothing', async () => {
  const kept = { results: { ttlMs: 60_000 } }
  const queue = await harness.queue({ partitions: 1, ...kept })
  const events: string[] = []
  const waiting = new Map<string, () => void>()
  const calls = { timeout: 0, stop: 0 }
  const worker = await harness.worker(
    queue.name,
    {
      note: async (task) => {
        const kind = task.data as keyof typeof calls
        await new Promise<void>((resolve) => waiting.set(kind, resolve))
        void task.complete()
        void task.release()
        calls[kind]++
      },
    },
    { ...kept, leaseMs: 500 },
  )
  worker.on('completed', ({ task, result }) => events.push(`${task.data} completed ${result}`))
  worker.on('dead', ({ task, error }) => events.push(`${task.data} dead ${error.name}`))
  worker.on('error', (error) => events.push(`error ${error.name}`))
  await queue.enqueue('note', 'timeout', { timeoutMs: 100, maxAttempts: 1 })
  await queue.enqueue('note', 'stop')
  await eventually(() => expect(events).toEqual(['timeout dead TaskTimeoutError']))
  waiting.get('timeout')?.()
  await eventually(() => expect(calls.timeout).toBe(1))
  await eventually(() => expect(waiting.has('stop')).toBe(true))
  await worker.stop({ timeoutMs: 100 })
  waiting.get('stop')?.()
  await eventually(() => expect(calls).toEqual({ timeout: 1, stop: 1 }))
  expect(events).toEqual(['timeout dead TaskTimeoutError'])
  expect(await queue.depth()).toMatchObject({ active: 0, dead: 1 })
})

it('a handler that completes its task in vain, and does not look, has the worker tell', async () => {
  const kept = { results: { ttlMs: 60_000 } }
  const queue = await harness.queue({ partitions: 1, ...kept })
  const events: string[] = []
  const worker = await harness.worker(
    queue.name,
    {
      note: (task) => {
        void task.complete(10n)
        return 'returned'
      },
    },
    kept,
  )
  worker.on('completed', ({ result }) => events.push(`completed ${result}`))
  worker.on('error', (error) => events.push(`error ${error.name}`))
  await queue.enqueue('note', 1)
  await eventually(() => expect(events).toEqual(['error InvalidDataError', 'completed returned']))
})

/** As one acknowledges a message elsewhere. Tasks of the same lease went missing. */
it('many handlers that complete by themselves, and some that fail: every task is completed', async () => {
  const queue = await harness.queue({ partitions: 1 })
  const events: string[] = []
  for (let i = 0; i < 100; i++)
    await queue.enqueue('note', { kind: String(i) }, { backoff: { type: 'fixed', delayMs: 0 } })
  const worker = await workerOn(queue.name, events, async (task) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20))
    if (Number((task.data as { kind: string }).kind) % 10 === 0 && task.attempt === 1)
      throw new Error('first try')
    void task.complete()
  })
  await eventually(() => expect(worker.health().metrics.completed).toBe(100))
  await worker.stop()
  expect(events.filter((event) => event.startsWith('error'))).toEqual([])
  expect(worker.health().metrics).toEqual({ completed: 100, failed: 10, dead: 0, lost: 0 })
  expect(await queue.depth()).toMatchObject({ ready: { medium: 0 }, active: 0, scheduled: 0, dead: 0 })
})

/** What a result, an error or a checkpoint runs while it is written as JSON is code of others, which may settle the task as well. */
const KEPT = { results: { ttlMs: 60_000 } }

it('complete() in the toJSON of a complete() that is refused is refused with it', async () => {
  const { queue, delivery } = await oneDelivery(true)
  let inner: Promise<void> | undefined
  const refused = {
    toJSON() {
      inner = delivery.complete('inner')
      throw new Error('no such thing')
    },
  }
  const outer = delivery.complete(refused)
  expect(inner).toBe(outer)
  await expect(outer).rejects.toThrow('no such thing')
  expect((await queue.depth()).active).toBe(1)
  await delivery.complete('own')
  expect(await queue.getTask(delivery.id)).toMatchObject({ state: 'completed', result: 'own' })
})

it('checkpoint() of data whose toJSON settles the task is refused, and not sent', async () => {
  const { queue, delivery } = await oneDelivery()
  let failing: Promise<unknown> | undefined
  const data = {
    toJSON() {
      failing = delivery.fail(new Error('no'))
      return 1
    },
  }
  await expect(delivery.checkpoint('step', data)).rejects.toBeInstanceOf(DeliverySettledError)
  expect(await failing).toBe('retried')
  expect(await queue.checkpoints(delivery.id)).toEqual([])
})

it.each([
  {
    does: 'fail',
    call: (task: Note) => task.fail(new Error('inner'), { retry: false }),
    events: ['dead inner'],
  },
  { does: 'complete', call: (task: Note) => task.complete('inner'), events: ['completed inner'] },
  { does: 'release', call: (task: Note) => task.release(), events: ['completed later'] },
])('a result whose toJSON calls $does settles its task by that alone', async ({ call, events }) => {
  const queue = await harness.queue({ partitions: 1, ...KEPT })
  const told: string[] = []
  const calls: Promise<unknown>[] = []
  const note = (task: Note) =>
    calls.length > 0
      ? 'later'
      : {
          toJSON() {
            if (calls.length === 0) calls.push(call(task))
            return 'returned'
          },
        }
  const worker = await harness.worker(queue.name, { note }, KEPT)
  worker.on('completed', ({ result }) => told.push(`completed ${result}`))
  worker.on('dead', ({ error }) => told.push(`dead ${error.message}`))
  worker.on('error', (error) => told.push(`error ${error.name}: ${error.message}`))
  await queue.enqueue('note', 1)
  await eventually(() => expect(calls).toHaveLength(1))
  await calls[0]
  await eventually(() => expect(told.length).toBeGreaterThanOrEqual(1))
  await worker.stop()
  expect(told).toEqual(events)
  expect(worker.health().metrics.lost).toBe(0)
})
