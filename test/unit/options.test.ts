import { describe, expect, it } from 'vitest'
import {
  InvalidDataError,
  InvalidOptionError,
  NotConnectedError,
  PayloadTooLargeError,
  TaskQueue,
  Worker,
} from '../../src/index.js'
import { toError } from '../../src/queue/describe-error.js'
import { resolveEnqueueOptions } from '../../src/queue/enqueue-options.js'
import { toJson } from '../../src/queue/json.js'
import { backoffDelayMs, decodeRecord, encodeError, encodeRecord } from '../../src/queue/task.js'
import { POISON } from '../helpers/poison.js'

const connection = { mode: 'single', url: 'redis://127.0.0.1:1' } as const

describe('options that make no sense', () => {
  it.each([
    [{ priority: 'urgent' }, 'options.priority: expected one of high, medium, low, got "urgent"'],
    [{ prio: 'high' }, 'options.prio: unknown; known are priority'],
    [{ delayMs: -1 }, 'options.delayMs: expected a whole number from 0'],
    [{ delayMs: 1.5 }, 'options.delayMs'],
    [{ delayMs: 1, runAt: new Date() }, 'options.runAt: not together with delayMs'],
    [{ runAt: new Date('nonsense') }, 'options.runAt: expected a Date or ms since 1970, got an invalid Date'],
    [{ runAt: '2030-01-01' }, 'options.runAt: expected a Date or ms since 1970, got "2030-01-01"'],
    [
      { runAt: new Date('9999-01-01') },
      'options.runAt: 9999-01-01T00:00:00.000Z is more than a hundred years',
    ],
    [{ runAt: 1e18 }, 'options.runAt: 1000000000000000000 is more than a hundred years'],
    [{ maxAttempts: 0 }, 'options.maxAttempts: expected a whole number from 1'],
    [{ backoff: { type: 'linear', delayMs: 1 } }, 'options.backoff.type: expected one of fixed, exponential'],
    [{ backoff: { type: 'fixed', delayMs: 100, maxMs: 10 } }, 'options.backoff.maxMs'],
    [
      { backoff: { type: 'fixed', delayMs: 1, jitter: 2 } },
      'options.backoff.jitter: expected a number from 0 to 1',
    ],
    [{ timeoutMs: '5s' }, 'options.timeoutMs: expected a whole number'],
    [{ partitionKey: '' }, 'options.partitionKey: expected a text'],
    [{ idempotencyKey: 7 }, 'options.idempotencyKey: expected a text'],
    [{ metadata: [1] }, 'options.metadata: expected an object, got an array'],
    ['high', 'options: expected an object, got "high"'],
  ])('%j', (options, message) => {
    expect(() => resolveEnqueueOptions(options as never)).toThrow(InvalidOptionError)
    expect(() => resolveEnqueueOptions(options as never)).toThrow(message)
  })

  it.each([
    ['a{b}', {}, 'name: "a{b}" has braces or control characters'],
    ['a\nb', {}, 'name: "a\\nb" has braces or control characters'],
    ['', {}, 'name: expected a text'],
    ['q', { partitions: 0 }, 'options.partitions: expected a whole number from 1 to 1024, got 0'],
    ['q', { durability: 'safe' }, 'options.durability: expected one of async, replicated, fsynced'],
    ['q', { connection: { mode: 'cluster', nodes: [] } }, 'options.connection.nodes: expected at least one'],
    [
      'q',
      { connection: { mode: 'cluster', nodes: [{ host: 'h', port: 0 }] } },
      'options.connection.nodes[0].port',
    ],
    [
      'q',
      { connection: { mode: 'single', url: 'redis://$(x):1' } },
      'options.connection.url: its host: expected letters',
    ],
    [
      'q',
      { connection: { mode: 'single', url: 'http://:secret@h' } },
      'options.connection.url: expected redis://',
    ],
    ['q', { connection: { mode: 'sentinel' } }, 'options.connection.mode: expected one of cluster, single'],
    ['q', { onShortfall: 'wait' }, 'options.onShortfall: expected one of reject, accept, got "wait"'],
    ['q', { connection: undefined }, 'options.connection: expected {'],
    [
      'q',
      { durability: 'async', replication: { confirm: 1 } },
      "options.replication: nothing is confirmed with durability 'async'",
    ],
    [
      'q',
      { durability: 'replicated', replication: { confirm: 'most' } },
      'options.replication.confirm: expected one of all, majority, got "most"',
    ],
    [
      'q',
      { durability: 'replicated', replication: { confirm: 0 } },
      'options.replication.confirm: expected a whole number from 1 to 100, got 0',
    ],
    [
      'q',
      { durability: 'replicated', replication: { minReplicas: 0 } },
      'options.replication.minReplicas: expected a whole number from 1 to 100, got 0',
    ],
    ['q', { durability: 'replicated', replication: { least: 1 } }, 'options.replication.least: unknown'],
    ['q', { retries: 3 }, 'options.retries: unknown'],
  ])('queue %j %j', (name, options, message) => {
    expect(() => new TaskQueue(name, { connection, ...options } as never)).toThrow(InvalidOptionError)
    expect(() => new TaskQueue(name, { connection, ...options } as never)).toThrow(message)
  })

  it('names a secret in no message', () => {
    try {
      new TaskQueue('q', { connection: { mode: 'single', url: 'ftp://user:hunter2@host' } })
      expect.unreachable()
    } catch (error) {
      expect(String(error)).not.toContain('hunter2')
    }
  })

  it('of a worker', () => {
    expect(() => new Worker('q', { a: 'no' } as never, { connection })).toThrow(
      'handlers.a: expected a function',
    )
    expect(() => new Worker('q', {}, { connection, concurrency: 0 })).toThrow('options.concurrency')
    expect(() => new Worker('q', {}, { connection, leaseMs: 10 })).toThrow(
      'options.leaseMs: expected a whole number from 500',
    )
  })

  it('use before connect is told so', async () => {
    const queue = new TaskQueue('q', { connection })
    await expect(queue.enqueue('a', 1)).rejects.toThrow(NotConnectedError)
    await queue.disconnect()
  })
})

describe('data', () => {
  it('that JSON cannot hold is refused by name', () => {
    const cycle: Record<string, unknown> = {}
    cycle.self = cycle
    for (const value of [1n, { n: 1n }, cycle, undefined, () => 1, Symbol('s')]) {
      expect(() => toJson('the data', value, 100)).toThrow(InvalidDataError)
    }
  })

  it('over the limit is refused, counted in bytes', () => {
    expect(toJson('x', 'a'.repeat(98), 100)).toHaveLength(100)
    expect(() => toJson('x', 'ü'.repeat(50), 100)).toThrow(PayloadTooLargeError)
    expect(() => toJson('x', 'ü'.repeat(50), 100)).toThrow('x is 102 bytes, over the limit of 100')
  })
})

describe('a record', () => {
  it('comes back as it went in', () => {
    const options = resolveEnqueueOptions({
      priority: 'low',
      maxAttempts: 12,
      timeoutMs: 5,
      backoff: { type: 'fixed', delayMs: 1 },
      metadata: { a: [1] },
      partitionKey: 'k|k',
    })
    const record = encodeRecord('"ty\\"pe"', '{"x":"|"}', options)
    expect(decodeRecord('id', record)).toMatchObject({
      type: 'ty"pe',
      data: { x: '|' },
      priority: 'low',
      maxAttempts: 12,
      timeoutMs: 5,
      backoff: { type: 'fixed', delayMs: 1 },
      metadata: { a: [1] },
      partitionKey: 'k|k',
    })
  })

  it('leaves out what has its default', () => {
    const record = encodeRecord('"t"', '1', resolveEnqueueOptions({}))
    expect(record.replace(/\d{13}/, 'T')).toBe('14|["t",T,1]')
  })

  it.each(['', 'garbage', '14|', '14|{}', '94|["t",1,1]', '14|["t","x",1]', '|["t",1,1]'])(
    '%j is told to be none',
    (text) => {
      expect(() => decodeRecord('id', text)).toThrow(InvalidDataError)
    },
  )
})

describe('backoff', () => {
  it('is fixed, or doubles up to its most', () => {
    expect([1, 2, 3].map((n) => backoffDelayMs({ type: 'fixed', delayMs: 10 }, n))).toEqual([10, 10, 10])
    const doubling = { type: 'exponential', delayMs: 10, maxMs: 50 } as const
    expect([1, 2, 3, 4, 400].map((n) => backoffDelayMs(doubling, n))).toEqual([10, 20, 40, 50, 50])
  })

  it('has a default for its longest delay, which cuts no delay that was asked for', () => {
    const hour = 3_600_000
    expect(backoffDelayMs({ type: 'fixed', delayMs: hour }, 3)).toBe(hour)
    expect(backoffDelayMs({ type: 'exponential', delayMs: hour }, 3)).toBe(hour)
    expect(backoffDelayMs({ type: 'exponential', delayMs: 1_000 }, 20)).toBe(300_000)
    expect(backoffDelayMs({ type: 'exponential', delayMs: hour, maxMs: 3 * hour }, 3)).toBe(3 * hour)
  })

  it('spreads by its jitter', () => {
    const delays = Array.from({ length: 200 }, () =>
      backoffDelayMs({ type: 'fixed', delayMs: 1_000, jitter: 0.2 }, 1),
    )
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(800)
    expect(Math.max(...delays)).toBeLessThanOrEqual(1_200)
    expect(new Set(delays).size).toBeGreaterThan(50)
  })
})

describe('an error', () => {
  it('is kept within bounds, whatever was thrown', () => {
    expect(JSON.parse(encodeError('text'))).toMatchObject({ name: 'Error', message: 'text' })
    expect(encodeError(new Error('m'.repeat(1e6))).length).toBeLessThan(20_000)
  })

  it('that is sound stays itself; anything else becomes the cause of one that describes it', () => {
    const sound = new TypeError('m')
    expect(toError(sound)).toBe(sound)
    const thrown = { name: 'HttpError', message: 'teapot' }
    const error = toError(thrown)
    expect(error).toMatchObject({ name: 'HttpError', message: 'teapot', cause: thrown })
    for (const { value, name, says } of POISON) {
      const made = toError(value)
      expect(made).toBeInstanceOf(Error)
      expect(made.name.slice(0, 200)).toBe(name)
      expect(made.message).toContain(says)
    }
  })
})

describe('a worker', () => {
  const connection = { mode: 'single', url: 'redis://localhost' } as const

  it.each([
    [async () => 1, { connection }, 'handlers: expected an object with a function for each task type'],
    [undefined, { connection }, 'handlers: expected an object'],
    [[async () => 1], { connection }, 'got an array'],
    [{ note: 'text' }, { connection }, 'handlers.note: expected a function, got "text"'],
    [{ note: () => 1 }, undefined, 'options: expected an object with a connection'],
    [{ note: () => 1 }, 'redis://localhost', 'options: expected an object with a connection'],
    [{ note: () => 1 }, {}, 'options.connection: expected'],
  ])('is refused with handlers %s and options %j', (handlers, options, problem) => {
    const make = () => new Worker('w', handlers as never, options as never)
    expect(make).toThrow(InvalidOptionError)
    expect(make).toThrow(problem)
  })
})
