import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { LeaseLostError } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { deadRemoveCall } from '../../src/scripts/dead.js'
import { enqueueCall } from '../../src/scripts/enqueue.js'
import { exchangeCall } from '../../src/scripts/exchange.js'
import { releaseCall, renewCall } from '../../src/scripts/lease.js'
import type { ScriptCall } from '../../src/scripts/script.js'
import { batchOf } from '../../src/scripts/task-batch.js'
import { recoverCall } from '../../src/scripts/tend.js'
import { voidCall } from '../../src/scripts/void.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

/**
 * Guards of the scripts that nothing else shows to be there: each test fails without its guard (test/mutations). Who comes too late,
 * twice, or in another's name is told so, and changes nothing.
 */
const options = { mode: 'single', url: inject('single').url } as const
const harness = makeHarness(() => options)
const connection = new Connection(options)

beforeAll(() => connection.start('protections'))
afterAll(() => connection.stop())

async function queueOfOne() {
  const queue = await harness.queue({ partitions: 1, results: { ttlMs: 200 } })
  const [partition] = makePartitions(queue.name, 1)
  if (!partition) throw new Error('no partition')
  const send = async <Value>(call: ScriptCall<Value>): Promise<Value> => {
    const outcome = await connection.attempt(partition.slot, call, { lane: 'inspect' })
    if (!outcome.ok) throw outcome.fault.error
    return outcome.value
  }
  return { queue, keys: partition.keys, send }
}

/** A batch of one task, as a producer sends it. */
const batch = (batchNumber: number, id: string) => ({
  producerId: 'p',
  batchNumber,
  stamp: `s${batchNumber}`,
  rememberBatchMs: 60_000,
  rememberKeyMs: 60_000,
  batch: batchOf([
    {
      ...{ id, bundle: undefined, place: 0, level: 1, delayMs: 0, idempotencyKey: undefined },
      record: `13|["note",${Date.now()},1]`,
    },
  ]),
})

describe('a producer', () => {
  it('that sends the same batch twice stores it once', async () => {
    const { queue, keys, send } = await queueOfOne()
    expect((await send(enqueueCall(keys, batch(1, '0.a')))).kind).toBe('stored')
    const [first] = await queue.dequeue()
    await first?.complete()
    expect((await send(enqueueCall(keys, batch(1, '0.a')))).kind).toBe('repeat')
    expect((await queue.depth()).ready.medium).toBe(0)
  })

  it('stores no more of a batch that comes after its tasks were taken back', async () => {
    const { queue, keys, send } = await queueOfOne()
    const copies = [{ id: '0.a', bundle: undefined, place: 0, level: 1 }] as const
    await send(voidCall(keys, { producerId: 'p', batchNumber: 4, rememberBatchMs: 60_000, copies }))
    expect((await send(enqueueCall(keys, batch(4, '0.a')))).kind).toBe('clash')
    expect((await send(enqueueCall(keys, batch(5, '0.b')))).kind).toBe('stored')
    expect((await queue.depth()).ready.medium).toBe(1)
  })
})

describe('a lease', () => {
  it('is lost to a late holder, whatever they try, and the task is with the next one', async () => {
    const { queue, keys, send } = await queueOfOne()
    await queue.enqueue('note', 1, { maxAttempts: 9 })
    const [late] = await queue.dequeue({ leaseMs: 500 })
    if (!late) throw new Error('nothing was handed out')
    const [next] = await queue.dequeue({ leaseMs: 60_000, blockMs: 5_000 })
    expect(next).toMatchObject({ id: late.id, attempt: 2 })
    const tries: (() => Promise<unknown>)[] = [
      () => late.extend(60_000),
      () => late.checkpoint('half', 1),
      () => late.fail(new Error('no')),
      () => late.complete(),
    ]
    for (const attempt of tries) await expect(attempt()).rejects.toBeInstanceOf(LeaseLostError)
    await late.release().catch(() => undefined)
    expect(await send(renewCall(keys, { leaseIds: ['gone'], leaseMs: 1_000 }))).toEqual([false])
    expect(await queue.depth()).toMatchObject({ active: 1, ready: { medium: 0 }, scheduled: 0, dead: 0 })
    expect(await queue.checkpoints(late.id)).toEqual([])
    expect((await queue.verify()).faults).toEqual([])
    await next?.complete()
  })

  it('has the rest of a lease when a part of it is completed', async () => {
    const { queue } = await queueOfOne()
    for (const data of ['x', 'y', 'z']) await queue.enqueue('note', data)
    const [x, y, z] = await queue.dequeue({ count: 3 })
    await x?.complete()
    expect((await queue.verify()).faults).toEqual([])
    expect(await queue.depth()).toMatchObject({ active: 2 })
    await Promise.all([y?.complete(), z?.complete()])
  })

  it('a lease that runs is not taken away', async () => {
    const { queue, keys, send } = await queueOfOne()
    await queue.enqueue('note', 1)
    const [held] = await queue.dequeue({ leaseMs: 60_000 })
    for (const { id } of held?.leases ?? [])
      expect(await send(recoverCall(keys, id))).toEqual({ kind: 'alive' })
    await held?.complete()
  })

  it('an extended lease is not shortened by who renews it', async () => {
    const { queue, keys, send } = await queueOfOne()
    await queue.enqueue('note', 1)
    const [held] = await queue.dequeue({ leaseMs: 500 })
    await held?.extend(60_000)
    const ids = [...(held?.leases ?? [])].map(({ id }) => id)
    await send(renewCall(keys, { leaseIds: ids, leaseMs: 500 }))
    expect(await queue.dequeue({ blockMs: 900 })).toEqual([])
    await held?.complete()
  })
})

it('the order of what is handed back stays', async () => {
  const { queue, keys, send } = await queueOfOne()
  for (const data of [1, 2, 3, 4]) await queue.enqueue('note', data)
  const first = await queue.dequeue({ count: 3, leaseMs: 60_000 })
  const [lease] = first.flatMap(({ leases }) => [...leases])
  await send(releaseCall(keys, { leaseId: lease?.id ?? '', ids: first.map(({ id }) => id) }))
  const again = await queue.dequeue({ count: 4 })
  expect(again.map(({ data }) => data)).toEqual([1, 2, 3, 4])
  await Promise.all(again.map((delivery) => delivery.complete()))
})

it('results are gone from the server after their time', async () => {
  const { queue } = await queueOfOne()
  await queue.enqueue('note', 1)
  const [held] = await queue.dequeue()
  await held?.complete('done')
  await sleep(300)
  // Consumers forget them as they look after the queue.
  await queue.enqueue('note', 2, { delayMs: 50 })
  const [second] = await queue.dequeue({ blockMs: 2_000 })
  await second?.complete()
  expect((await queue.verify()).faults).toEqual([])
})

it('one call takes the highest priority first', async () => {
  const { queue, keys, send } = await queueOfOne()
  await queue.enqueue('note', 'low', { priority: 'low' })
  await queue.enqueue('note', 'high', { priority: 'high' })
  const fetch = { leaseId: 'l', leaseMs: 60_000, count: 2, least: 2, levels: [0, 1, 2] }
  const { fetched } = await send(exchangeCall(keys, { acknowledge: [], keepResultsMs: 0, fetch }))
  expect(fetched.map(({ record }) => record.includes('high'))).toEqual([true, false])
})

it('dead letters alone are removed as such', async () => {
  const { queue, keys, send } = await queueOfOne()
  const id = await queue.enqueue('note', 1)
  expect(await queue.deadLetters.remove(id)).toBe(false)
  expect(await queue.deadLetters.retry(id)).toBe(false)
  // It may have been tried again since it was looked up.
  expect(await send(deadRemoveCall(keys, [id]))).toBe(0)
  expect((await queue.depth()).ready.medium).toBe(1)
})
