import { membersOf, wholeBundleAt } from './bundles.js'
import type { NewTask } from './enqueue.js'
import { pack, type Strings, unpack } from './strings.js'

/** A batch of tasks as it travels (enqueue.lua): a few long texts rather than thousands of short ones. */
export interface TaskBatch {
  /** By priority: id, record, id, record, ...; of a bundle its name, and the records as lines. */
  readonly ready: readonly [Strings, Strings, Strings]
  /** id, record, delay in ms, id, ... */
  readonly scheduled: Strings
  /** Ids of the tasks with an idempotency key, and their keys in the same order. */
  readonly onceIds: Strings
  readonly onceKeys: readonly string[]
}

export function batchOf(tasks: readonly NewTask[]): TaskBatch {
  const ready: [string[], string[], string[]] = [[], [], []]
  const scheduled: (string | number)[] = []
  const onceIds: string[] = []
  const onceKeys: string[] = []
  for (let at = 0; at < tasks.length; ) {
    const task = tasks[at] as NewTask
    const size = wholeBundleAt(tasks, at)
    if (size > 1 && task.bundle) {
      const records = tasks.slice(at, at + size).map(({ record }) => record)
      ready[task.level].push(task.bundle.name, records.join('\n'))
    } else if (task.delayMs > 0) scheduled.push(task.id, task.record, task.delayMs)
    else ready[task.level].push(task.id, task.record)
    if (task.idempotencyKey !== undefined) {
      onceIds.push(task.id)
      onceKeys.push(task.idempotencyKey)
    }
    at += size
  }
  return {
    ready: [pack(ready[0]), pack(ready[1]), pack(ready[2])],
    scheduled: pack(scheduled),
    onceIds: pack(onceIds),
    onceKeys,
  }
}

export function tasksOf(batch: TaskBatch): NewTask[] {
  const once = new Map(unpack(batch.onceIds).map((id, i) => [id, batch.onceKeys[i]]))
  const tasks: NewTask[] = []
  const add = (strings: Strings, level: (record: string) => NewTask['level'], step: 2 | 3) => {
    const parts = unpack(strings)
    for (let i = 0; i + step <= parts.length; i += step) {
      const [id = '', record = ''] = parts.slice(i, i + 2)
      const delayMs = step === 3 ? Number(parts[i + 2]) : 0
      const members = membersOf(id)
      const records = members.length === 1 ? [record] : record.split('\n')
      members.forEach((named, place) => {
        const own = records[place] ?? ''
        tasks.push({ ...named, record: own, level: level(own), delayMs, idempotencyKey: once.get(named.id) })
      })
    }
  }
  for (const level of [0, 1, 2] as const) add(batch.ready[level], () => level, 2)
  add(batch.scheduled, (record) => Number(record.charAt(0)) as NewTask['level'], 3)
  return tasks
}
