import { describe, expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { LeaseLostError, TaskNotFoundError } from '../../../src/index.js'
import { onceName } from '../../../src/keys/keys.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { slotOf } from '../../../src/keys/slots.js'
import { eventually, makeHarness } from './harness.js'

/** What a queue does, on a cluster and on a single Redis alike. */
export function queueBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)

  describe('enqueue and dequeue', () => {
    it('hands out what was enqueued, once', async () => {
      const queue = await harness.queue()
      const before = Date.now()
      const id = await queue.enqueue('add', { a: 1, b: 2 }, { priority: 'high', metadata: { by: 'test' } })
      const [delivery] = await queue.dequeue({ blockMs: 1_000 })
      expect(delivery).toMatchObject({
        id,
        type: 'add',
        data: { a: 1, b: 2 },
        priority: 'high',
        attempt: 1,
        metadata: { by: 'test' },
      })
      expect(delivery?.enqueuedAt).toBeGreaterThanOrEqual(before)
      await delivery?.complete()
      expect(await queue.dequeue({ blockMs: 0 })).toEqual([])
      expect(await queue.depth()).toEqual({
        ready: { high: 0, medium: 0, low: 0 },
        active: 0,
        scheduled: 0,
        dead: 0,
      })
    })

    it('resolves to [] after blockMs, and not before', async () => {
      const queue = await harness.queue()
      const start = performance.now()
      expect(await queue.dequeue({ blockMs: 300 })).toEqual([])
      expect(performance.now() - start).toBeGreaterThanOrEqual(295)
    })

    it('wakes a blocked dequeue when a task comes', async () => {
      const queue = await harness.queue()
      const waiting = queue.dequeue({ blockMs: 10_000 })
      await new Promise((resolve) => setTimeout(resolve, 200))
      const id = await queue.enqueue('note', null)
      expect((await waiting).map((delivery) => delivery.id)).toEqual([id])
    })

    it('keeps the order of enqueueMany in its ids, and every task', async () => {
      const queue = await harness.queue()
      const items = Array.from({ length: 3_000 }, (_, i) => ({ type: 'add' as const, data: { a: i, b: 0 } }))
      const ids = await queue.enqueueMany(items)
      expect(new Set(ids).size).toBe(3_000)
      const seen = new Map<string, number>()
      for (;;) {
        const deliveries = await queue.dequeue({ count: 500, blockMs: 100 })
        if (deliveries.length === 0) break
        expect(deliveries.length).toBeLessThanOrEqual(500)
        for (const one of deliveries) if (one.type === 'add') seen.set(one.id, one.data.a)
        await Promise.all(deliveries.map((one) => one.complete()))
      }
      expect(ids.map((id) => seen.get(id))).toEqual(items.map((item) => item.data.a))
      const stats = await queue.stats()
      expect(stats).toMatchObject({ enqueued: 3_000, delivered: 3_000, completed: 3_000 })
    })

    it('counts a task once, whatever becomes of it meanwhile', async () => {
      const queue = await harness.queue()
      const watcher = await harness.queue({}, queue.name)
      await queue.enqueue('note', 'again', { maxAttempts: 100, backoff: { type: 'fixed', delayMs: 5 } })
      const sums = new Map<number, number>()
      let over = false
      const watching = Array.from({ length: 4 }, async () => {
        while (!over) {
          const { ready, active, scheduled, dead } = await watcher.depth()
          const sum = ready.high + ready.medium + ready.low + active + scheduled + dead
          sums.set(sum, (sums.get(sum) ?? 0) + 1)
        }
      })
      for (let attempt = 1; attempt <= 60; attempt++) {
        const [delivery] = await queue.dequeue({ blockMs: 5_000 })
        await delivery?.fail(new Error('again'))
      }
      over = true
      await Promise.all(watching)
      expect([...sums.keys()]).toEqual([1])
    })

    it('never gives more than count', async () => {
      const queue = await harness.queue()
      await queue.enqueueMany(Array.from({ length: 50 }, () => ({ type: 'note' as const, data: 1 })))
      for (const count of [1, 2, 7, 13]) {
        const deliveries = await queue.dequeue({ count, blockMs: 500 })
        expect(deliveries.length).toBe(count)
        await Promise.all(deliveries.map((one) => one.complete()))
      }
    })

    it('stores one task for one idempotency key', async () => {
      const queue = await harness.queue()
      const [a, b] = await Promise.all([
        queue.enqueue('note', 1, { idempotencyKey: 'order-1' }),
        queue.enqueue('note', 2, { idempotencyKey: 'order-1' }),
      ])
      const c = await queue.enqueue('note', 3, { idempotencyKey: 'order-1' })
      const d = await queue.enqueue('note', 4, { idempotencyKey: 'order-2' })
      expect([b, c]).toEqual([a, a])
      expect(d).not.toBe(a)
      expect((await queue.depth()).ready.medium).toBe(2)
    })

    it('keeps tasks with one partition key in order', async () => {
      const queue = await harness.queue()
      for (let i = 0; i < 40; i++) await queue.enqueue('add', { a: i, b: 0 }, { partitionKey: 'customer-7' })
      const seen: number[] = []
      while (seen.length < 40) {
        const [one] = await queue.dequeue({ blockMs: 1_000 })
        if (one?.type === 'add') seen.push(one.data.a)
        await one?.complete()
      }
      expect(seen).toEqual(Array.from({ length: 40 }, (_, i) => i))
    })

    it('makes a delayed task ready at its time, not before', async () => {
      const queue = await harness.queue()
      const idle = await harness.queue({}, queue.name)
      const waiting = idle.dequeue({ blockMs: 10_000 })
      const start = performance.now()
      const late = await queue.enqueue('note', 'late', { delayMs: 700 })
      const soon = await queue.enqueue('note', 'soon', { runAt: new Date(Date.now() + 300) })
      expect((await queue.getTask(late))?.state).toBe('scheduled')
      expect((await queue.depth()).scheduled).toBe(2)
      const [first] = await waiting
      expect(first?.id).toBe(soon)
      const [second] = await idle.dequeue({ blockMs: 10_000 })
      expect(second?.id).toBe(late)
      const waitedMs = performance.now() - start
      expect(waitedMs).toBeGreaterThanOrEqual(695)
      expect(waitedMs).toBeLessThan(2_000)
    })
  })

  describe('priority', () => {
    it('gives HIGH first for dequeue({ count: 2 }) after LOW then HIGH', async () => {
      const queue = await harness.queue()
      await queue.enqueue('note', 'low', { priority: 'low' })
      await queue.enqueue('note', 'high', { priority: 'high' })
      const deliveries = await queue.dequeue({ count: 2, blockMs: 1_000 })
      expect(deliveries.map((one) => one.data)).toEqual(['high', 'low'])
    })

    it('hands a new HIGH task out next or next but one, with 10,000 LOW waiting everywhere', async () => {
      const queue = await harness.queue()
      const consumer = await harness.queue({}, queue.name)
      await queue.enqueueMany(
        Array.from({ length: 10_000 }, (_, i) => ({
          type: 'note' as const,
          data: i,
          options: { priority: 'low' as const },
        })),
      )
      const places: number[] = []
      for (let round = 0; round < 100; round++) {
        const id = await queue.enqueue('note', 'urgent', { priority: 'high' })
        for (let place = 1; ; place++) {
          const [one] = await consumer.dequeue({ blockMs: 1_000 })
          await one?.complete()
          if (one?.id !== id) continue
          places.push(place)
          break
        }
      }
      expect(Math.max(...places)).toBeLessThanOrEqual(2)
    })

    it('orders HIGH before MEDIUM before LOW over all partitions', async () => {
      const queue = await harness.queue()
      const priorities = ['low', 'medium', 'high'] as const
      for (const priority of priorities) {
        await queue.enqueueMany(
          Array.from({ length: 60 }, () => ({
            type: 'note' as const,
            data: priority,
            options: { priority },
          })),
        )
      }
      const seen: unknown[] = []
      for (;;) {
        const deliveries = await queue.dequeue({ count: 25, blockMs: 200 })
        if (deliveries.length === 0) break
        seen.push(...deliveries.map((one) => one.priority))
      }
      expect(seen).toEqual(['high', 'medium', 'low'].flatMap((priority) => new Array(60).fill(priority)))
    })

    it('takes only the priority that is asked for', async () => {
      const queue = await harness.queue()
      await queue.enqueue('note', 'high', { priority: 'high' })
      await queue.enqueue('note', 'low', { priority: 'low' })
      const [one] = await queue.dequeue({ count: 5, priority: 'low', blockMs: 1_000 })
      expect(one?.data).toBe('low')
      expect(await queue.dequeue({ priority: 'medium', blockMs: 50 })).toEqual([])
    })
  })

  describe('leases', () => {
    it('gives a task out again when its lease runs out, and refuses the late holder', async () => {
      const queue = await harness.queue()
      const id = await queue.enqueue('note', 1)
      const [late] = await queue.dequeue({ leaseMs: 500, blockMs: 1_000 })
      expect(late?.attempt).toBe(1)
      const [again] = await queue.dequeue({ blockMs: 5_000 })
      expect(again).toMatchObject({ id, attempt: 2 })
      await expect(late?.complete()).rejects.toThrow(LeaseLostError)
      await expect(late?.fail(new Error('late'))).rejects.toThrow(LeaseLostError)
      await expect(late?.checkpoint('step', 1)).rejects.toThrow(LeaseLostError)
      await again?.complete()
      expect((await queue.stats()).recovered).toBe(1)
    })

    it('keeps an extended delivery, and only that one of its batch', async () => {
      const queue = await harness.queue({ partitions: 1 })
      await queue.enqueueMany([
        { type: 'note', data: 'kept' },
        { type: 'note', data: 'let go' },
      ])
      const [kept, letGo] = await queue.dequeue({ count: 2, leaseMs: 600, blockMs: 1_000 })
      await kept?.extend(5_000)
      const [again] = await queue.dequeue({ blockMs: 3_000 })
      expect(again?.id).toBe(letGo?.id)
      await kept?.complete()
      await again?.complete()
    })

    it('hands a released task out again without using up an attempt', async () => {
      const queue = await harness.queue()
      const id = await queue.enqueue('note', 1)
      const [one] = await queue.dequeue({ blockMs: 1_000 })
      await one?.release()
      const [again] = await queue.dequeue({ blockMs: 1_000 })
      expect(again).toMatchObject({ id, attempt: 1 })
      await again?.complete()
    })

    it('moves a task that never comes back to the dead letters', async () => {
      const queue = await harness.queue()
      const id = await queue.enqueue('note', 1, { maxAttempts: 1 })
      await queue.dequeue({ leaseMs: 500, blockMs: 1_000 })
      expect(await queue.dequeue({ blockMs: 1_500 })).toEqual([])
      const { items } = await queue.deadLetters.list()
      expect(items).toMatchObject([{ id, error: { name: 'LeaseExpiredError' } }])
    })
  })

  describe('failure', () => {
    it('retries with backoff, then keeps the task with its error among the dead letters', async () => {
      const queue = await harness.queue()
      const id = await queue.enqueue('note', 1, { maxAttempts: 2, backoff: { type: 'fixed', delayMs: 200 } })
      const [first] = await queue.dequeue({ blockMs: 1_000 })
      expect(await first?.fail(new RangeError('first'))).toBe('retried')
      const start = performance.now()
      expect((await queue.getTask(id))?.state).toBe('scheduled')
      const [second] = await queue.dequeue({ blockMs: 5_000 })
      expect(performance.now() - start).toBeGreaterThanOrEqual(150)
      expect(second).toMatchObject({ id, attempt: 2 })
      expect(await second?.fail(new RangeError('second'))).toBe('dead')
      const { items } = await queue.deadLetters.list()
      expect(items).toMatchObject([
        { id, data: 1, attempt: 2, error: { name: 'RangeError', message: 'second' } },
      ])
      expect(items[0]?.diedAt).toBeGreaterThan(Date.now() - 10_000)
      expect(await queue.stats()).toMatchObject({ failed: 2, retried: 1, dead: 1 })
    })

    it('lists dead letters in pages, retries and purges them', async () => {
      const queue = await harness.queue()
      const ids = await queue.enqueueMany(
        Array.from({ length: 25 }, (_, i) => ({ type: 'note' as const, data: i })),
      )
      const deliveries = []
      while (deliveries.length < 25) deliveries.push(...(await queue.dequeue({ count: 25, blockMs: 1_000 })))
      await Promise.all(deliveries.map((one) => one.fail(new Error('no'), { retry: false })))
      const seen: string[] = []
      let cursor: string | null = null
      do {
        const page: Awaited<ReturnType<typeof queue.deadLetters.list>> = await queue.deadLetters.list({
          limit: 10,
          cursor,
        })
        seen.push(...page.items.map((item) => item.id))
        cursor = page.cursor
      } while (cursor !== null)
      expect(seen.sort()).toEqual([...ids].sort())
      const [first, second] = ids as [string, string]
      expect(await queue.deadLetters.retry(first)).toBe(true)
      expect(await queue.deadLetters.retry(first)).toBe(false)
      expect(await queue.deadLetters.remove(second)).toBe(true)
      const [again] = await queue.dequeue({ blockMs: 1_000 })
      expect(again).toMatchObject({ id: first, attempt: 1 })
      expect(await queue.deadLetters.retryAll({ type: 'add' })).toBe(0)
      expect(await queue.deadLetters.retryAll()).toBe(23)
      expect(await queue.deadLetters.purge()).toBe(0)
      expect(await queue.getTask(second)).toBeNull()
    })

    it('sends a task that cannot be decoded to the dead letters, and stops nothing', async () => {
      const queue = await harness.queue({ partitions: 1 })
      const errors: Error[] = []
      queue.on('error', (error) => errors.push(error))
      const broken = await queue.enqueue('note', 'broken')
      const fine = await queue.enqueue('note', 'fine')
      const [partition] = makePartitions(queue.name, 1)
      for (const node of await harness.masters()) {
        if (await node.hexists(partition?.keys.tasks ?? '', broken).catch(() => 0)) {
          await node.hset(partition?.keys.tasks ?? '', broken, 'not a record')
        }
      }
      const [one] = await queue.dequeue({ count: 2, blockMs: 1_000 })
      expect(one?.id).toBe(fine)
      await eventually(async () => {
        const { items } = await queue.deadLetters.list()
        expect(items).toMatchObject([{ id: broken, error: { name: 'InvalidDataError' } }])
      })
      expect(errors[0]?.message).toContain(broken)
      expect(await queue.deadLetters.purge()).toBe(1)
    })
  })

  describe('checkpoints', () => {
    it('keeps them in order over attempts, and forgets them with the task', async () => {
      const queue = await harness.queue()
      const id = await queue.enqueue('note', 1)
      const [one] = await queue.dequeue({ blockMs: 1_000 })
      await one?.checkpoint('fetch', { rows: 5 })
      await one?.checkpoint('train "α"', [1, { deep: null }])
      await queue.checkpoint(id, 'fetch', { rows: 6 })
      await one?.release()
      const [again] = await queue.dequeue({ blockMs: 1_000 })
      expect(await again?.checkpoints()).toMatchObject([
        { step: 'train "α"', data: [1, { deep: null }] },
        { step: 'fetch', data: { rows: 6 } },
      ])
      await again?.complete()
      expect(await queue.checkpoints(id)).toEqual([])
      await expect(queue.checkpoint(id, 'late', 1)).rejects.toThrow(TaskNotFoundError)
    })
  })

  describe('looking', () => {
    it('finds a task in each of its states', async () => {
      const queue = await harness.queue({ results: { ttlMs: 60_000 } })
      const id = await queue.enqueue('add', { a: 1, b: 2 }, { maxAttempts: 1 })
      expect(await queue.getTask(id)).toMatchObject({
        id,
        state: 'ready',
        type: 'add',
        data: { a: 1, b: 2 },
        attempt: 0,
      })
      const [one] = await queue.dequeue({ blockMs: 1_000 })
      expect(await queue.getTask(id)).toMatchObject({ state: 'active', attempt: 1 })
      expect((await queue.depth()).active).toBe(1)
      await one?.complete({ sum: 3, unit: 'ü' })
      expect(await queue.getTask(id)).toMatchObject({
        state: 'completed',
        data: { a: 1, b: 2 },
        result: { sum: 3, unit: 'ü' },
      })
      expect(await queue.getTask('nonsense')).toBeNull()
      expect(await queue.getTask('0.unknown1')).toBeNull()
    })

    it('forgets results after their time', async () => {
      const queue = await harness.queue({ results: { ttlMs: 200 } })
      const id = await queue.enqueue('note', 1)
      const [one] = await queue.dequeue({ blockMs: 1_000 })
      await one?.complete('done')
      await new Promise((resolve) => setTimeout(resolve, 250))
      expect(await queue.getTask(id)).toBeNull()
    })

    it('says how its shards are', async () => {
      const queue = await harness.queue()
      const health = await eventually(async () => {
        const now = await queue.health()
        expect(now.state).toBe('ok')
        return now
      })
      expect(health.shards.reduce((sum, shard) => sum + shard.slots, 0)).toBe(16_384)
      expect(health.shards.every((shard) => shard.takesEnqueues)).toBe(true)
      expect(health.shards.flatMap((shard) => shard.partitions)).toHaveLength(12)
    })
  })

  describe('pause', () => {
    it('holds back every task until resume', async () => {
      const queue = await harness.queue()
      const consumer = await harness.queue({}, queue.name)
      expect(await consumer.dequeue({ blockMs: 50 })).toEqual([])
      await queue.pause()
      const id = await queue.enqueue('note', 1)
      expect(await consumer.dequeue({ blockMs: 300 })).toEqual([])
      const waiting = consumer.dequeue({ blockMs: 5_000 })
      await queue.resume()
      const start = performance.now()
      expect((await waiting).map((one) => one.id)).toEqual([id])
      expect(performance.now() - start).toBeLessThan(1_000)
    })
  })

  describe('keys', () => {
    it('puts every key of a partition into its one slot', async () => {
      for (const partition of makePartitions('any queue', 12)) {
        const { keys } = partition
        const all = [
          ...keys.ready,
          ...Object.values(keys).filter((key): key is string => typeof key === 'string'),
          keys.lease('l'),
          keys.producer('p'),
          keys.once(onceName('key with {braces}', undefined)),
        ]
        expect(new Set(all.map(slotOf))).toEqual(new Set([slotOf(keys.tasks)]))
      }
    })
  })
}
