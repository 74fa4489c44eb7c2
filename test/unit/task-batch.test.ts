import { describe, expect, it } from 'vitest'
import type { NewTask } from '../../src/scripts/enqueue.js'
import { pack, unpack } from '../../src/scripts/strings.js'
import { batchOf, tasksOf } from '../../src/scripts/task-batch.js'

describe('strings as one argument', () => {
  it.each([[[]], [['a']], [['', 'b', '']], [['ä€𝄞', 'line\nline', '1']]])(
    '%j come back as they were',
    (strings) => {
      const packed = pack(strings)
      expect(packed.count).toBe(strings.length)
      expect(unpack(packed)).toEqual(strings)
    },
  )
})

describe('a batch', () => {
  it('gives its tasks back, whatever their priority, delay or key', () => {
    const alone = { bundle: undefined, place: 0 }
    const tasks: NewTask[] = [
      { id: 'a.1', ...alone, record: '04|["t",1,"high"]', level: 0, delayMs: 0, idempotencyKey: undefined },
      { id: 'a.2', ...alone, record: '14|["t",1,"medium"]', level: 1, delayMs: 0, idempotencyKey: 'once' },
      { id: 'a.3', ...alone, record: '24k|["t",1,"low"]', level: 2, delayMs: 0, idempotencyKey: undefined },
      {
        id: 'a.4',
        ...alone,
        record: '04|["t",1,"later"]',
        level: 0,
        delayMs: 5_000,
        idempotencyKey: 'twice',
      },
    ]
    const byId = (a: NewTask, b: NewTask) => (a.id < b.id ? -1 : 1)
    expect(tasksOf(batchOf(tasks)).sort(byId)).toEqual(tasks)
  })
})
