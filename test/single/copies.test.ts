import { Redis } from 'ioredis'
import { beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { startSingle } from '../../src/cluster/index.js'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import { membersOf, sizeOf } from '../../src/scripts/bundles.js'
import {
  type EnqueueInput,
  type EnqueueResult,
  enqueueCall,
  type NewTask,
} from '../../src/scripts/enqueue.js'
import type { ScriptCall } from '../../src/scripts/script.js'
import { batchOf } from '../../src/scripts/task-batch.js'
import { type Copy, voidCall } from '../../src/scripts/void.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

let redis: Redis
let partition: Partition

beforeEach(async () => {
  redis = (await harness.masters())[0] as Redis
  partition = makePartitions(harness.name(), 1)[0] as Partition
})

async function run<Result>(call: ScriptCall<Result>): Promise<Result> {
  return call.parse(await redis.eval(call.script.source, call.keys.length, ...call.keys, ...call.args))
}

function task(name: string, changes: Partial<NewTask> = {}): NewTask[] {
  return membersOf(name).map((named) => ({
    ...named,
    record: `1|["t",1,"${named.id}"]`,
    level: 1,
    delayMs: 0,
    idempotencyKey: undefined,
    ...changes,
  }))
}

function enqueue(tasks: NewTask[], changes: Partial<EnqueueInput> = {}): Promise<EnqueueResult> {
  return run(
    enqueueCall(partition.keys, {
      producerId: 'p',
      batchNumber: 1,
      stamp: 's',
      rememberBatchMs: 60_000,
      rememberKeyMs: 60_000,
      batch: batchOf(tasks),
      ...changes,
    }),
  )
}

async function takeBack(copies: readonly Copy[]): Promise<string[]> {
  const input = { producerId: 'p', batchNumber: 0, rememberBatchMs: 60_000, copies }
  const { removed } = await run(voidCall(partition.keys, input))
  return [...removed].map(({ id }) => id)
}

const waiting = () => redis.lrange(partition.keys.ready[1], 0, -1)

/** What every call must leave: the counters tell what is there. */
async function expectExact(): Promise<void> {
  const names = await redis.hkeys(partition.keys.tasks)
  const there = names.reduce((sum, name) => sum + sizeOf(name), 0)
  const [enqueued, voided] = await redis.hmget(partition.keys.counters, 'enqueued', 'voided')
  expect(Number(enqueued) - Number(voided)).toBe(there)
  const listed = await waiting()
  const beyond = Number((await redis.hget(partition.keys.bundled, '1')) ?? 0)
  expect(listed.length + beyond).toBe(listed.reduce((sum, name) => sum + sizeOf(name), 0))
}

describe('a batch', () => {
  it('with the number and the stamp of the last one is a repeat', async () => {
    expect(await enqueue(task('0.a'))).toMatchObject({ kind: 'stored', previous: 0 })
    expect(await enqueue(task('0.a'))).toMatchObject({ kind: 'repeat', previous: 1, previousStamp: 's' })
    expect(await enqueue([], { batchNumber: 0 })).toMatchObject({
      kind: 'repeat',
      previous: 1,
      previousStamp: 's',
    })
    await expectExact()
  })

  it.each([
    ['the same number and another stamp', { batchNumber: 2, stamp: 'other' }],
    ['a lower number', { batchNumber: 1, stamp: 's' }],
  ])('with %s is of another producer: nothing is stored', async (_, changes) => {
    await enqueue(task('0.a'))
    await enqueue(task('0.b'), { batchNumber: 2 })
    expect(await enqueue(task('0.c'), changes)).toMatchObject({ kind: 'clash', previous: 2, there: [] })
    expect(await waiting()).toEqual(['0.a', '0.b'])
  })

  it.each([
    ['a task', '0.a', {}],
    ['a bundle', '0.a~3', {}],
    ['a task of another priority', '0.a', { level: 0 as const }],
    ['a delayed task', '0.a', { delayMs: 60_000 }],
  ])('never writes over what is there: %s', async (_, name, changes) => {
    await enqueue(task(name, { record: 'first' }))
    const batch = [...task('0.new'), ...task(name, changes)]
    expect(await enqueue(batch, { batchNumber: 2 })).toMatchObject({ kind: 'clash', there: [name] })
    expect(await redis.hkeys(partition.keys.tasks)).toEqual([name])
    expect(await redis.hget(partition.keys.tasks, name)).toContain('first')
    // The number is still to be had, by what is left of the batch.
    expect(await enqueue(task('0.new'), { batchNumber: 2 })).toMatchObject({ kind: 'stored' })
    await expectExact()
  })

  it('in which a name stands twice stores it once', async () => {
    const later = task('0.b', { delayMs: 60_000 })
    const batch = [
      ...task('0.a'),
      ...task('0.a'),
      ...task('0.b'),
      ...later,
      ...task('0.c~2'),
      ...task('0.c~2'),
    ]
    expect(await enqueue(batch)).toMatchObject({ kind: 'stored' })
    expect(await waiting()).toEqual(['0.a', '0.b', '0.c~2'])
    expect(await redis.zcard(partition.keys.scheduled)).toBe(0)
    await expectExact()
  })
})

describe('copies that are removed', () => {
  it('leave the ready list, and are counted', async () => {
    const names = ['0.a', '0.b~3', '0.c~2', '0.d']
    const tasks = names.flatMap((name) => task(name))
    await enqueue(tasks)
    const removed = await takeBack([...task('0.b~3'), ...task('0.d')])
    expect(removed).toEqual([...membersOf('0.b~3').map(({ id }) => id), '0.d'])
    expect(await waiting()).toEqual(['0.a', '0.c~2'])
    expect(await redis.hget(partition.keys.counters, 'voided')).toBe('4')
    await expectExact()
  })

  it('are counted once, however often they are named', async () => {
    await enqueue([...task('0.a'), ...task('0.b~3')])
    const copies = [...task('0.a'), ...task('0.b~3'), ...task('0.a'), ...task('0.b~3')]
    await takeBack(copies)
    expect(await takeBack(copies)).toEqual([])
    expect(await redis.hget(partition.keys.counters, 'voided')).toBe('4')
    expect(await waiting()).toEqual([])
    await expectExact()
  })

  it('that are a part of a bundle leave the others to its name', async () => {
    await enqueue(task('0.b~3'))
    const [first, second, third] = task('0.b~3') as [NewTask, NewTask, NewTask]
    expect(await takeBack([second])).toEqual([second.id])
    expect((await redis.hkeys(partition.keys.tasks)).sort()).toEqual([first.id, third.id])
    expect(await waiting()).toEqual(['0.b~3'])
    // And then the others: the name stands for nothing.
    expect(await takeBack(task('0.b~3'))).toEqual([first.id, third.id])
    expect(await waiting()).toEqual([])
    await expectExact()
  })

  it('are found from the end of a long list, by work that does not grow with it', async () => {
    const many = (prefix: string, from: number, count: number) =>
      Array.from({ length: count }, (_, i) => task(`0.${prefix}${from + i}`)).flat()
    for (let batch = 0; batch < 20; batch++)
      await enqueue(many('x', batch * 500, 500), { batchNumber: 1 + batch })
    const last = many('y', 0, 500)
    await enqueue(last, { batchNumber: 21 })
    expect(await takeBack(last)).toHaveLength(500)
    expect(await redis.llen(partition.keys.ready[1])).toBe(10_000)
    const old = many('x', 0, 500)
    const startedMs = performance.now()
    expect(await takeBack(old)).toHaveLength(500)
    expect(performance.now() - startedMs).toBeLessThan(500)
    // They are dropped when their turn comes.
    expect(await redis.llen(partition.keys.ready[1])).toBe(10_000)
    const [enqueued, voided] = await redis.hmget(partition.keys.counters, 'enqueued', 'voided')
    expect(Number(enqueued) - Number(voided)).toBe(await redis.hlen(partition.keys.tasks))
  })

  it('of priorities, delays and dead letters are removed too', async () => {
    const high = task('0.h', { level: 0, record: '0|["t",1,1]' })
    const later = task('0.l', { delayMs: 60_000 })
    await enqueue([...high, ...later])
    expect(await takeBack([...high, ...later])).toEqual(['0.h', '0.l'])
    expect(await redis.exists(partition.keys.ready[0], partition.keys.scheduled, partition.keys.tasks)).toBe(
      0,
    )
  })

  it('can be removed while memory is full', async () => {
    await enqueue([...task('0.a'), ...task('0.b~3')])
    const server = await startSingle({ settings: { maxmemory: '1' } })
    onTestFinished(() => server.stop())
    const full = new Redis({ host: server.host, port: server.port })
    onTestFinished(() => full.disconnect())
    const call = (copies: readonly Copy[]) =>
      voidCall(partition.keys, { producerId: 'p', batchNumber: 9, rememberBatchMs: 60_000, copies })
    const { script, keys, args } = call(task('0.b~3').slice(1))
    // Nothing is there, and still the number has to be raised.
    expect(await full.eval(script.source, keys.length, ...keys, ...args)).toEqual([0])
    expect(await full.get(partition.keys.producer('p'))).toBe('9')
  })

  it('keep the remembered number where it is not to be raised', async () => {
    await enqueue(task('0.a'), { batchNumber: 7, stamp: 'seven' })
    await takeBack(task('0.a'))
    expect(await enqueue([], { batchNumber: 0 })).toMatchObject({ previous: 7, previousStamp: 'seven' })
  })
})
