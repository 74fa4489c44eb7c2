import { describe, expect, it } from 'vitest'
import { Recent } from '../../src/queue/recent.js'
import type { NewTask } from '../../src/scripts/enqueue.js'
import { batchOf, tasksOf } from '../../src/scripts/task-batch.js'

const task = (id: string, data: string): NewTask => ({
  id,
  bundle: undefined,
  place: 0,
  record: `14|["t",1,${JSON.stringify(data)}]`,
  level: 1,
  delayMs: 0,
  idempotencyKey: undefined,
})

/** A batch of so many tasks, large enough to be kept as bytes. */
const tasksFor = (number: number, count: number, bytes: number) =>
  Array.from({ length: count }, (_, i) => task(`${number}.${i}`, `${number} ä€ `.padEnd(bytes, 'x')))

function remember(recent: Recent, number: number, tasks: readonly NewTask[]): void {
  recent.begin()
  const batch = batchOf(tasks, (bytes) => recent.reserve(bytes))
  recent.add(number, batch, 0)
}

describe('what was confirmed in the last moments', () => {
  it('comes back as it was sent, however often the ring has been filled', () => {
    const recent = new Recent(100_000)
    const sent = new Map<number, NewTask[]>()
    for (let number = 1; number <= 200; number++) {
      const tasks = tasksFor(number, 1 + (number % 7), 500 + ((number * 2_654_435) % 5_000))
      sent.set(number, tasks)
      remember(recent, number, tasks)
    }
    const kept = recent.takeAfter(0)
    expect(kept.length).toBeGreaterThan(2)
    expect(kept.at(-1)?.number).toBe(200)
    for (const { number, tasks } of kept) expect(tasksOf(tasks)).toEqual(sent.get(number))
  })

  it('does not touch what was confirmed when a batch is written that fails', () => {
    const recent = new Recent(100_000)
    remember(recent, 1, tasksFor(1, 3, 3_000))
    for (let i = 0; i < 3; i++) {
      recent.begin()
      batchOf(tasksFor(2, 3, 3_000), (bytes) => recent.reserve(bytes))
    }
    const [kept] = recent.takeAfter(0)
    expect(kept && tasksOf(kept.tasks)).toEqual(tasksFor(1, 3, 3_000))
  })

  it('forgets what has been written over, and no more than that', () => {
    const recent = new Recent(100_000)
    for (let number = 1; number <= 20; number++) remember(recent, number, tasksFor(number, 1, 9_000))
    const kept = recent.takeAfter(0).map(({ number }) => number)
    expect(kept.at(0)).toBeGreaterThan(9)
    expect(kept.at(0)).toBeLessThan(13)
    expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => 21 - kept.length + i))
  })

  it('does not keep a batch that is larger than all there is, nor lose its text while it is sent', () => {
    const recent = new Recent(10_000)
    const tasks = tasksFor(1, 4, 20_000)
    recent.begin()
    const batch = batchOf(tasks, (bytes) => recent.reserve(bytes))
    expect(tasksOf(batch)).toEqual(tasks)
    recent.add(1, batch, 0)
    expect(recent.isEmpty).toBe(true)
  })
})
