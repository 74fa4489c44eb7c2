import { afterEach, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import type { TaskQueue } from '../../src/index.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

/** Identities that are given out next; then real ones. Two producers with the same one are a process and its clone. */
const planned = vi.hoisted((): string[] => [])
/** Microseconds that the clock shows next, for each producer the same; empty for the real clock. */
const clock = vi.hoisted(() => ({ stopped: false }))

vi.mock('../../src/queue/identity.js', async (original) => {
  const { newIdentity } = await original<typeof import('../../src/queue/identity.js')>()
  return { newIdentity: () => planned.shift() ?? newIdentity() }
})
vi.mock('../../src/queue/stamps.js', async (original) => {
  const stamps = await original<typeof import('../../src/queue/stamps.js')>()
  class Stopped extends stamps.Stamps {
    #given = 0
    override next(): string {
      return clock.stopped ? (++this.#given).toString(36).padStart(10, '0') : super.next()
    }
  }
  return { ...stamps, Stamps: Stopped }
})

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

beforeEach(() => {
  planned.push('clonedclones', 'clonedclones')
})
afterEach(() => {
  planned.length = 0
  clock.stopped = false
})

/** The same calls by a process and its clone. */
async function clones(): Promise<[TaskQueue<{ note: unknown }>, TaskQueue<{ note: unknown }>]> {
  const name = harness.name()
  return [await harness.queue({ partitions: 2 }, name), await harness.queue({}, name)] as never
}

async function taken(queue: TaskQueue<{ note: unknown }>): Promise<unknown[]> {
  const notes: unknown[] = []
  for (;;) {
    const deliveries = await queue.dequeue({ count: 100, blockMs: 200 })
    if (deliveries.length === 0) return notes.sort()
    for (const delivery of deliveries) {
      notes.push(delivery.data)
      await delivery.complete()
    }
  }
}

describe('a process and its clone', () => {
  it.each([
    ['without a key', undefined],
    ['with a key', 'k'],
  ])('have all their tasks stored, %s', async (_, partitionKey) => {
    const [one, other] = await clones()
    const options = partitionKey === undefined ? {} : { partitionKey }
    const ids: string[] = []
    for (let i = 0; i < 10; i++) {
      ids.push(await one.enqueue('note', `one ${i}`, options))
      ids.push(await other.enqueue('note', `other ${i}`, options))
    }
    const many = (whose: string) =>
      Array.from({ length: 100 }, (_, i) => ({ type: 'note' as const, data: `${whose} many ${i}`, options }))
    ids.push(...(await other.enqueueMany(many('other'))), ...(await one.enqueueMany(many('one'))))
    await expectAll(one, ids, 220)
  })

  it.each([
    ['a task', 1],
    ['a bundle', 5],
  ])('do not write over what the other one has stored under the same name: %s', async (_, count) => {
    clock.stopped = true
    const [one, other] = await clones()
    const many = (whose: string) =>
      Array.from({ length: count }, (_, i) => ({ type: 'note' as const, data: `${whose} ${i}` }))
    const ids = await one.enqueueMany(many('one'))
    // As after an hour: only the names tell that somebody was here.
    for (const master of await harness.masters())
      for (const key of await master.keys(`shardq:${one.name}:*:producer:*`)) await master.del(key)
    ids.push(...(await other.enqueueMany(many('other'))))
    await expectAll(one, ids, 2 * count)
  })
})

async function expectAll(queue: TaskQueue<{ note: unknown }>, ids: string[], count: number): Promise<void> {
  expect(new Set(ids).size).toBe(count)
  expect((await queue.depth()).ready.medium).toBe(count)
  expect((await queue.stats()).enqueued).toBe(count)
  expect(new Set(await taken(queue)).size).toBe(count)
}

it('a producer that meets its own identity again and again tells so in the end', async () => {
  const name = harness.name()
  const one = await harness.queue({ partitions: 1 }, name)
  const other = await harness.queue({}, name)
  for (let i = 0; i < 20; i++) {
    await one.enqueue('note', i)
  }
  // Each new identity is that of the other one, too, which is 20 batches ahead.
  planned.push(...new Array(10).fill('clonedclones'))
  await expect(other.enqueue('note', 'refused')).rejects.toThrow('numbers or names of another producer')
  expect((await one.depth()).ready.medium).toBe(20)
})
