import { describe, expect, it } from 'vitest'
import { Item } from '../../src/queue/item.js'
import { nameTasks } from '../../src/queue/naming.js'
import { bundleName, fold, inSameBundle, memberId, sizeOf } from '../../src/scripts/bundles.js'
import { batchOf, tasksOf } from '../../src/scripts/task-batch.js'

const RECEIVER = { stored() {}, failed() {} }
const item = (changes: Partial<ConstructorParameters<typeof Item>[0]> = {}) =>
  new Item(
    {
      record: '14|["t",1,null]',
      level: 1,
      delayMs: 0,
      idempotencyKey: undefined,
      key: undefined,
      ...changes,
    },
    RECEIVER,
    0,
    0,
  )

function named(items: readonly Item[]): string[] {
  let next = 0
  nameTasks(items, () => `5.p${next++}`)
  return items.map(({ id }) => id)
}

describe('the names of bundles', () => {
  it('tell how many tasks they stand for, and ids of tasks that they are one', () => {
    for (const size of [2, 10, 32]) {
      const name = bundleName('5.p1', size)
      expect(sizeOf(name)).toBe(size)
      for (let place = 0; place < size; place++) expect(sizeOf(memberId(name, place))).toBe(1)
    }
    expect(sizeOf('5.p1')).toBe(1)
  })

  it('stand for tasks that are all there in their order, and for no others', () => {
    const two = bundleName('5.p1', 2)
    const [a, b] = [memberId(two, 0), memberId(two, 1)]
    expect(fold(['x.1', a, b, 'x.2'])).toEqual(['x.1', two, 'x.2'])
    for (const ids of [[a], [b], [b, a], [a, 'x.1', b], [a, a]]) expect(fold(ids)).toEqual(ids)
    expect(fold([])).toEqual([])
  })

  it('tell which tasks came together', () => {
    const [one, other] = [bundleName('5.p1', 2), bundleName('5.p2', 2)]
    expect(inSameBundle(memberId(one, 0), memberId(one, 1))).toBe(true)
    expect(inSameBundle(memberId(one, 1), memberId(other, 0))).toBe(false)
    expect(inSameBundle('5.p1', '5.p1')).toBe(false)
  })
})

describe('new tasks', () => {
  it('get names of bundles where nothing sets them apart', () => {
    expect(named(Array.from({ length: 33 }, () => item())).map((id) => id.slice(0, 5))).toEqual([
      ...new Array(32).fill('5.p0~'),
      '5.p1',
    ])
  })

  it.each([
    ['a key', { key: 'k' }],
    ['a delay', { delayMs: 1 }],
    ['an idempotency key', { idempotencyKey: 'k' }],
    ['another priority', { level: 0 as const }],
    ['a record too large', { record: 'x'.repeat(20_000) }],
  ])('stay alone with %s', (_, changes) => {
    expect(named([item(), item(), item(changes), item(), item()]).map((id) => id.slice(0, 5))).toEqual([
      '5.p0~',
      '5.p0~',
      '5.p1',
      '5.p2~',
      '5.p2~',
    ])
  })

  it('that have an id keep it', () => {
    const items = [item(), item(), item()]
    const before = named(items)
    expect(named([...items])).toEqual(before)
  })
})

describe('a batch with bundles', () => {
  it('has one entry for each, and gives all tasks back', () => {
    const items = [item(), item({ record: '14|["t",2,null]' }), item({ idempotencyKey: 'once' })]
    named(items)
    const batch = batchOf(items)
    expect(batch.ready[1].count).toBe(4)
    expect(tasksOf(batch)).toEqual(
      items.map(({ id, record, level, delayMs, idempotencyKey }) => ({
        id,
        record,
        level,
        delayMs,
        idempotencyKey,
      })),
    )
  })
})
