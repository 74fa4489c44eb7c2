import { expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { TaskTimeoutError, UnknownTaskTypeError, WorkerStoppedError } from '../../../src/index.js'
import { eventually, makeHarness } from './harness.js'

/** What a worker does, on a cluster and on a single Redis alike. */
export function workerBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)

  it('runs every task once and tells listeners, with at most `concurrency` handlers at a time', async () => {
    const queue = await harness.queue()
    const ids = await queue.enqueueMany(
      Array.from({ length: 500 }, (_, i) => ({ type: 'add' as const, data: { a: i, b: 1 } })),
    )
    let running = 0
    let most = 0
    const results = new Map<string, unknown>()
    const worker = await harness.worker(
      queue.name,
      {
        add: async ({ data }) => {
          most = Math.max(most, ++running)
          await new Promise((resolve) => setTimeout(resolve, 2))
          running--
          return data.a + data.b
        },
      },
      { concurrency: 20 },
    )
    worker.on('completed', ({ task, result }) => results.set(task.id, result))
    await eventually(() => expect(results.size).toBe(500))
    expect(ids.map((id) => results.get(id))).toEqual(ids.map((_, i) => i + 1))
    expect(most).toBeLessThanOrEqual(20)
    expect(most).toBeGreaterThan(10)
    expect(worker.health()).toMatchObject({
      status: 'healthy',
      running: true,
      metrics: { completed: 500, failed: 0 },
    })
    await worker.stop()
    expect(worker.health()).toMatchObject({ status: 'stopped', running: false, active: 0 })
  })

  it('retries a handler that throws, then buries the task with its error', async () => {
    const queue = await harness.queue()
    const attempts: number[] = []
    const events: string[] = []
    const worker = await harness.worker(queue.name, {
      note: (_, ctx) => {
        attempts.push(ctx.attempt)
        throw new TypeError('boom')
      },
    })
    worker.on('failed', ({ error }) => events.push(`failed ${error.message}`))
    worker.on('dead', ({ error }) => events.push(`dead ${error.name}`))
    const id = await queue.enqueue('note', 1, {
      maxAttempts: 3,
      backoff: { type: 'exponential', delayMs: 20 },
    })
    await eventually(() => expect(events).toEqual(['failed boom', 'failed boom', 'dead TypeError']))
    expect(attempts).toEqual([1, 2, 3])
    expect((await queue.deadLetters.list()).items).toMatchObject([
      { id, error: { name: 'TypeError', message: 'boom' } },
    ])
  })

  it('fails a task without a handler, and one that takes too long', async () => {
    const queue = await harness.queue()
    const reasons: unknown[] = []
    const worker = await harness.worker(queue.name, {
      add: (_, ctx) =>
        new Promise((resolve) => {
          ctx.signal.addEventListener('abort', () => {
            reasons.push(ctx.signal.reason)
            resolve('too late')
          })
        }),
    })
    const errors = new Map<string, Error>()
    worker.on('dead', ({ task, error }) => errors.set(task.id, error))
    const unknown = await queue.enqueue('note', 1, { maxAttempts: 1 })
    const slow = await queue.enqueue('add', { a: 1, b: 1 }, { maxAttempts: 1, timeoutMs: 100 })
    await eventually(() => expect(errors.size).toBe(2))
    expect(errors.get(unknown)).toBeInstanceOf(UnknownTaskTypeError)
    expect(errors.get(slow)).toBeInstanceOf(TaskTimeoutError)
    expect(reasons).toEqual([errors.get(slow)])
  })

  it('keeps the lease of a long task alive', async () => {
    const queue = await harness.queue()
    const other = await harness.queue({}, queue.name)
    await queue.enqueue('note', 1)
    let done = 0
    const worker = await harness.worker(
      queue.name,
      { note: () => new Promise((resolve) => setTimeout(resolve, 2_000)) },
      { leaseMs: 500 },
    )
    worker.on('completed', () => done++)
    await eventually(() => expect(worker.health().active).toBe(1))
    expect(await other.dequeue({ blockMs: 1_500 })).toEqual([])
    await eventually(() => expect(done).toBe(1))
  })

  it('stops: lets handlers finish, then hands the rest back without using up an attempt', async () => {
    const queue = await harness.queue()
    const reasons: unknown[] = []
    const completed: unknown[] = []
    const worker = await harness.worker(
      queue.name,
      {
        note: ({ data }, ctx) =>
          new Promise((resolve) => {
            ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason))
            if (data === 'short') setTimeout(resolve, 100)
          }),
      },
      { concurrency: 5 },
    )
    worker.on('completed', ({ task }) => completed.push(task.data))
    await queue.enqueue('note', 'short')
    const long = await queue.enqueue('note', 'long')
    await eventually(() => expect(worker.health().active).toBe(2))
    const stopping = worker.stop({ timeoutMs: 400 })
    expect(worker.health().status).toBe('stopping')
    await stopping
    expect(completed).toEqual(['short'])
    expect(reasons).toEqual([expect.any(WorkerStoppedError)])
    const [again] = await queue.dequeue({ blockMs: 1_000 })
    expect(again).toMatchObject({ id: long, attempt: 1 })
    await again?.complete()
  })

  it('is not harmed by listeners that throw, and passes on checkpoints, progress and log', async () => {
    const queue = await harness.queue()
    const heard: unknown[] = []
    const worker = await harness.worker(queue.name, {
      note: async (_, ctx) => {
        await ctx.checkpoint('half', 50)
        ctx.progress(50)
        ctx.log('half way')
        return ctx.checkpoints()
      },
    })
    worker.on('progress', ({ value }) => heard.push(value))
    worker.on('log', ({ message }) => heard.push(message))
    worker.on('error', (error) => heard.push(error.message))
    worker.on('completed', () => {
      throw new Error('listener broke')
    })
    worker.on('completed', ({ result }) => heard.push(result))
    await queue.enqueue('note', 1)
    await eventually(() =>
      expect(heard).toMatchObject([50, 'half way', 'listener broke', [{ step: 'half', data: 50 }]]),
    )
  })

  it('goes on when the servers forget every script in mid-run', async () => {
    const queue = await harness.queue()
    const errors: Error[] = []
    const seen = new Set<string>()
    const worker = await harness.worker(queue.name, { note: () => null }, { concurrency: 50 })
    worker.on('error', (error) => errors.push(error))
    worker.on('completed', ({ task }) => seen.add(task.id))
    const masters = await harness.masters()
    const ids: string[] = []
    for (let round = 0; round < 20; round++) {
      const sending = queue.enqueueMany(
        Array.from({ length: 100 }, (_, i) => ({ type: 'note' as const, data: i })),
      )
      await Promise.all(masters.map((master) => master.script('FLUSH')))
      ids.push(...(await sending))
    }
    await eventually(() => expect(seen.size).toBe(2_000))
    expect([...seen].sort()).toEqual(ids.sort())
    expect(errors).toEqual([])
  })
}
