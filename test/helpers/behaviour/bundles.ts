import type { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import type { Delivery, TaskQueue } from '../../../src/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { sizeOf } from '../../../src/scripts/bundles.js'
import { voidCall } from '../../../src/scripts/void.js'
import { eventually, makeHarness, type TestTasks } from './harness.js'

const NOTES = 40
const notes = (count: number, options = {}) =>
  Array.from({ length: count }, (_, i) => ({ type: 'note' as const, data: i, options }))

/** What must hold of tasks that are kept as one, as of those that are not. */
export function bundleBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)

  const queueOf = async (count: number, options = {}) => {
    const queue = await harness.queue({ partitions: 1, ...options })
    const ids = await queue.enqueueMany(notes(count))
    expect((await standing(queue)).ready.some((name) => sizeOf(name) > 1)).toBe(true)
    return { queue, ids }
  }

  const onOwner = async <Value>(call: (node: Redis) => Promise<Value>): Promise<Value> => {
    const answers = await Promise.allSettled((await harness.masters()).map(call))
    const [answer] = answers.filter((one) => one.status === 'fulfilled')
    if (!answer) throw new Error('no master owns the partition')
    return answer.value
  }

  const keysOf = (queue: TaskQueue<TestTasks>) => {
    const [partition] = makePartitions(queue.name, 1)
    if (!partition) throw new Error('no partition')
    return partition.keys
  }

  /** The names that stand in the lists and in the leases. */
  const standing = async (queue: TaskQueue<TestTasks>) => {
    const keys = keysOf(queue)
    const ready: string[] = []
    for (const list of keys.ready) ready.push(...(await onOwner((node) => node.lrange(list, 0, -1))))
    const held: string[] = []
    for (const lease of await onOwner((node) => node.zrange(keys.leases, '0', '-1')))
      held.push(...(await onOwner((node) => node.smembers(keys.lease(lease)))))
    return { ready, held }
  }

  /** What the depth says is what the names stand for. */
  const expectDepth = async (queue: TaskQueue<TestTasks>) => {
    const { ready, held } = await standing(queue)
    const count = (names: string[]) => names.reduce((sum, name) => sum + sizeOf(name), 0)
    const depth = await queue.depth()
    const { high, medium, low } = depth.ready
    expect({ ready: high + medium + low, active: depth.active }).toEqual({
      ready: count(ready),
      active: count(held),
    })
    return { ...depth, ready: high + medium + low }
  }

  const all = (queue: TaskQueue<TestTasks>, leaseMs = 30_000) =>
    queue.dequeue({ count: 1_000, blockMs: 2_000, leaseMs }) as Promise<Delivery[]>

  describe('tasks that are kept as one', () => {
    it('are each found by their id', async () => {
      const { queue, ids } = await queueOf(NOTES)
      expect(new Set(ids).size).toBe(NOTES)
      for (const [i, id] of ids.entries())
        expect(await queue.getTask(id)).toMatchObject({ id, data: i, state: 'ready', attempt: 0 })
      expect(await expectDepth(queue)).toMatchObject({ ready: NOTES, active: 0 })
    })

    it('are handed out one by one where one is wanted, in their order', async () => {
      const { queue, ids } = await queueOf(NOTES)
      const consumer = await harness.queue({}, queue.name)
      const taken: string[] = []
      for (let i = 0; i < NOTES; i++) {
        const deliveries = await consumer.dequeue({ blockMs: 2_000 })
        taken.push(...deliveries.map(({ id }) => id))
      }
      expect(taken).toEqual(ids)
      expect(await expectDepth(queue)).toMatchObject({ ready: 0, active: NOTES })
    })

    it('are handed out as far as they are wanted, and no further', async () => {
      const { queue } = await queueOf(NOTES)
      for (const count of [3, 33, 1]) expect(await queue.dequeue({ count })).toHaveLength(count)
      expect(await expectDepth(queue)).toMatchObject({ ready: NOTES - 37, active: 37 })
    })

    it('leave nothing behind when all are completed', async () => {
      const { queue } = await queueOf(NOTES)
      await Promise.all((await all(queue)).map((delivery) => delivery.complete()))
      expect(await expectDepth(queue)).toMatchObject({ ready: 0, active: 0 })
      expect(await queue.stats()).toMatchObject({ enqueued: NOTES, delivered: NOTES, completed: NOTES })
      const keys = keysOf(queue)
      expect(await onOwner((node) => node.exists(keys.tasks, keys.leases, ...keys.ready))).toBe(0)
    })

    it('go their own ways from when one does', async () => {
      const { queue, ids } = await queueOf(10)
      const deliveries = await all(queue)
      const [done, failed, dead, released, extended, saved, ...others] = deliveries
      await saved?.checkpoint('half', { rows: 5 })
      await done?.complete()
      expect(await failed?.fail(new Error('no'))).toBe('retried')
      expect(await dead?.fail(new Error('never'), { retry: false })).toBe('dead')
      await released?.release()
      await extended?.extend(60_000)
      const states = await Promise.all(ids.map(async (id) => (await queue.getTask(id))?.state))
      expect(states).toEqual([undefined, 'scheduled', 'dead', 'ready', ...new Array(6).fill('active')])
      expect(await queue.checkpoints(saved?.id ?? '')).toMatchObject([{ step: 'half', data: { rows: 5 } }])
      expect(await expectDepth(queue)).toMatchObject({ ready: 1, active: 6, scheduled: 1, dead: 1 })
      for (const delivery of [extended, saved, ...others]) await delivery?.complete()
      expect(await expectDepth(queue)).toMatchObject({ ready: 1, active: 0 })
      expect(await queue.checkpoints(saved?.id ?? '')).toEqual([])
      // Settled before: the call gives what it gave then, and nothing is sent.
      expect(await saved?.complete()).toBeUndefined()
    })

    it('are forgotten with their checkpoints, also when they are completed together', async () => {
      const { queue, ids } = await queueOf(10)
      const deliveries = await all(queue)
      await queue.checkpoint(ids[3] ?? '', 'outside', 1)
      await deliveries[4]?.checkpoint('inside', 2)
      await Promise.all(deliveries.map((delivery) => delivery.complete()))
      expect(await onOwner((node) => node.exists(keysOf(queue).checkpoints))).toBe(0)
    })

    it('come back one by one, an attempt used up, when their lease runs out', async () => {
      const { queue, ids } = await queueOf(NOTES)
      const late = await all(queue, 500)
      const again = await eventually(async () => {
        const taken = await all(queue)
        expect(taken).toHaveLength(NOTES)
        return taken
      })
      expect(again.map(({ id }) => id).sort()).toEqual([...ids].sort())
      expect(again.every(({ attempt }) => attempt === 2)).toBe(true)
      await expectDepth(queue)
      expect((await queue.stats()).recovered).toBe(NOTES)
      const refused = await Promise.allSettled(late.map((delivery) => delivery.complete()))
      expect(refused.every(({ status }) => status === 'rejected')).toBe(true)
      await Promise.all(again.map((delivery) => delivery.complete()))
      expect(await expectDepth(queue)).toMatchObject({ ready: 0, active: 0 })
    })

    it('wait for those of higher priority', async () => {
      const queue = await harness.queue({ partitions: 1 })
      await queue.enqueueMany(notes(20, { priority: 'low' }))
      await queue.enqueueMany(notes(20, { priority: 'high' }))
      const first = await queue.dequeue({ count: 25 })
      expect(first.map(({ priority }) => priority)).toEqual([
        ...new Array(20).fill('high'),
        ...new Array(5).fill('low'),
      ])
    })

    it('keep a result each', async () => {
      const { queue, ids } = await queueOf(10, { results: { ttlMs: 60_000 } })
      await Promise.all((await all(queue)).map((delivery) => delivery.complete({ of: delivery.data })))
      for (const [i, id] of ids.entries())
        expect(await queue.getTask(id)).toMatchObject({ state: 'completed', result: { of: i } })
    })

    it.each(['waiting', 'handed out'])('stay, but for those that are taken back while %s', async (when) => {
      const { queue, ids } = await queueOf(10)
      const before = when === 'waiting' ? [] : await all(queue)
      const { script, keys, args } = voidCall(keysOf(queue), {
        producerId: 'p',
        batchNumber: 1,
        rememberBatchMs: 1_000,
        copies: [ids[2], ids[7]].map((id = '') => ({ id, bundle: undefined, place: 0, level: 1 })),
      })
      await onOwner((node) => node.eval(script.source, keys.length, ...keys, ...args))
      const left = ids.filter((_, i) => i !== 2 && i !== 7)
      const deliveries = before.length > 0 ? before : await all(queue)
      if (when === 'waiting') expect(deliveries.map(({ id }) => id)).toEqual(left)
      const settled = await Promise.allSettled(deliveries.map((delivery) => delivery.complete()))
      const completed = deliveries.filter((_, i) => settled[i]?.status === 'fulfilled').map(({ id }) => id)
      expect(completed).toEqual(left)
      expect(await expectDepth(queue)).toMatchObject({ ready: 0, active: 0 })
      expect(await onOwner((node) => node.exists(keysOf(queue).tasks))).toBe(0)
    })

    it('are handed back whole by a worker that stops, and all done by the next one', async () => {
      const { queue } = await queueOf(500)
      const started: string[] = []
      const endless = await harness.worker(
        queue.name,
        { note: (task) => new Promise(() => started.push(task.id)) },
        { concurrency: 200 },
      )
      await eventually(() => expect(started.length).toBeGreaterThan(150))
      await endless.stop({ timeoutMs: 0 })
      expect(await expectDepth(queue)).toMatchObject({ ready: 500, active: 0 })
      const worker = await harness.worker(queue.name, { note: () => undefined }, { concurrency: 200 })
      await eventually(() => expect(worker.health().metrics.completed).toBe(500))
      expect(await expectDepth(queue)).toMatchObject({ ready: 0, active: 0 })
    })

    it('end as each is ended, whatever the order and the mixture', async () => {
      const queue = await harness.queue({ partitions: 1 })
      const random = generator(20_261_124)
      const expected = new Map<string, string | undefined>()
      const held: Delivery[] = []
      for (let step = 0; step < 60; step++) {
        const priority = (['high', 'medium', 'low'] as const)[random(3)]
        const ids = await queue.enqueueMany(notes(random(70), { ...(priority ? { priority } : {}) }))
        for (const id of ids) expected.set(id, 'ready')
        const taken = (await queue.dequeue({ count: 1 + random(90), blockMs: 0 })) as Delivery[]
        for (const { id } of taken) {
          expect(expected.get(id)).toBe('ready')
          expected.set(id, 'active')
        }
        held.push(...taken)
        const ways: (readonly [string | undefined, (delivery: Delivery) => Promise<unknown>])[] = [
          [undefined, (delivery) => delivery.complete()],
          ['ready', (delivery) => delivery.release()],
          ['dead', (delivery) => delivery.fail(new Error('no'), { retry: false })],
          ['active', (delivery) => delivery.extend(60_000)],
          ['active', (delivery) => delivery.checkpoint('step', step)],
        ]
        // Mostly many have the same fate; that is where bundles end as a whole.
        const from = random(held.length + 1)
        const some = held.splice(from, random(4) === 0 ? 3 : 64)
        const [state, end] = ways[random(3) === 0 ? random(ways.length) : 0] ?? []
        await Promise.all(
          some.map(async (delivery) => {
            await end?.(delivery)
            expected.set(delivery.id, state)
            if (state === 'active') held.push(delivery)
          }),
        )
        const count = (wanted: string) => [...expected.values()].filter((state) => state === wanted).length
        // What came too late for the take that had asked for it is given back soon.
        await eventually(async () =>
          expect(await expectDepth(queue)).toMatchObject({
            ready: count('ready'),
            active: count('active'),
            dead: count('dead'),
          }),
        )
      }
      for (const [id, state] of expected) expect((await queue.getTask(id))?.state).toBe(state)
    })
  })
}

/** Whole numbers below `limit`, the same ones each time (mulberry32). */
function generator(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}
