import { describe, expect, it } from 'vitest'
import { Item } from '../../src/queue/item.js'
import { nameTasks } from '../../src/queue/naming.js'
import { bundleName, fold, memberId, membersOf, type Named, sizeOf } from '../../src/scripts/bundles.js'
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
    changes.key === undefined ? undefined : 0,
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
    const [a, b] = membersOf(two) as [Named, Named]
    const [x, y] = [...membersOf('x.1'), ...membersOf('x.2')] as [Named, Named]
    expect(fold([x, a, b, y])).toEqual(['x.1', two, 'x.2'])
    for (const tasks of [[a], [b], [b, a], [a, x, b], [a, a]])
      expect(fold(tasks)).toEqual(tasks.map(({ id }) => id))
    // Of two deliveries of one bundle, one task each.
    const [again] = membersOf(two) as [Named]
    expect(fold([again, b])).toEqual([again.id, b.id])
    expect(fold([])).toEqual([])
  })

  it('give the ids of their tasks', () => {
    const two = bundleName('5.p1', 2)
    expect(membersOf(two).map(({ id }) => id)).toEqual([memberId(two, 0), memberId(two, 1)])
    expect(membersOf('5.p1').map(({ id }) => id)).toEqual(['5.p1'])
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
      items.map(({ id, bundle, place, record, level, delayMs, idempotencyKey }) => ({
        id,
        bundle,
        place,
        record,
        level,
        delayMs,
        idempotencyKey,
      })),
    )
  })
})
