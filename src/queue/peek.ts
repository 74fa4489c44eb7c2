import type { NextTask } from '../scripts/peek.js'
import { levelOfRecord } from './task.js'
import { type Task, taskView } from './task-view.js'

/** Most tasks of one look: from every partition come as many. */
export const MOST_PEEKED = 100

/**
 * The next of all partitions: by priority, and within one by their place in their partition, since consumers take from one
 * after the other.
 */
export function mergeNext(partitions: readonly (readonly NextTask[])[], most: number): Task[] {
  const placed = partitions.flatMap((tasks, partition) => {
    const places = [0, 0, 0]
    return tasks.map((task) => {
      const level = levelOfRecord(task.record)
      const place = places[level] ?? 0
      places[level] = place + 1
      return { task, level, place, partition }
    })
  })
  return placed
    .sort((a, b) => a.level - b.level || a.place - b.place || a.partition - b.partition)
    .slice(0, most)
    .map(({ task: { id, record, attemptsUsed } }) => taskView(id, 'ready', record, attemptsUsed))
}
