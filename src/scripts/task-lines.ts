import type { NewTask } from './enqueue.js'

/** A batch of tasks as it travels (enqueue.lua): texts of lines, of a few long strings rather than thousands of short ones. */
export interface TaskLines {
  /** By priority: id, record, id, record, ... */
  readonly ready: readonly [string, string, string]
  /** id, record, delay in ms, id, ... */
  readonly scheduled: string
  /** Ids of the tasks with an idempotency key, and their keys in the same order. */
  readonly onceIds: string
  readonly onceKeys: readonly string[]
}

export function linesOf(tasks: readonly NewTask[]): TaskLines {
  const ready: [string[], string[], string[]] = [[], [], []]
  const scheduled: (string | number)[] = []
  const onceIds: string[] = []
  const onceKeys: string[] = []
  for (const task of tasks) {
    if (task.delayMs > 0) scheduled.push(task.id, task.record, task.delayMs)
    else ready[task.level].push(task.id, task.record)
    if (task.idempotencyKey !== undefined) {
      onceIds.push(task.id)
      onceKeys.push(task.idempotencyKey)
    }
  }
  return {
    ready: [ready[0].join('\n'), ready[1].join('\n'), ready[2].join('\n')],
    scheduled: scheduled.join('\n'),
    onceIds: onceIds.join('\n'),
    onceKeys,
  }
}

export function tasksOf(lines: TaskLines): NewTask[] {
  const once = new Map(lines.onceIds.split('\n').map((id, i) => [id, lines.onceKeys[i]]))
  const tasks: NewTask[] = []
  const add = (text: string, level: (record: string) => NewTask['level'], step: 2 | 3) => {
    const parts = text === '' ? [] : text.split('\n')
    for (let i = 0; i + step <= parts.length; i += step) {
      const [id = '', record = ''] = parts.slice(i, i + 2)
      const delayMs = step === 3 ? Number(parts[i + 2]) : 0
      tasks.push({ id, record, level: level(record), delayMs, idempotencyKey: once.get(id) })
    }
  }
  for (const level of [0, 1, 2] as const) add(lines.ready[level], () => level, 2)
  add(lines.scheduled, (record) => Number(record.charAt(0)) as NewTask['level'], 3)
  return tasks
}
