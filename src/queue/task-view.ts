import { InvalidDataError } from '../errors.js'
import type { StoredTask } from '../scripts/inspect.js'
import type { Priority } from './enqueue-options.js'
import { decodeRecord } from './task.js'

export type TaskState = 'scheduled' | 'ready' | 'active' | 'completed' | 'dead'

/** A task as inspection shows it. */
export interface Task {
  readonly id: string
  readonly type: string
  readonly data: unknown
  readonly priority: Priority
  readonly state: TaskState
  /** Attempts that have been used up, plus the one under way. */
  readonly attempt: number
  readonly maxAttempts: number
  /** Ms since 1970, by the producer's clock. */
  readonly enqueuedAt: number
  readonly metadata: Readonly<Record<string, unknown>>
  /** `scheduled`: when it becomes ready, ms since 1970. */
  readonly runAt?: number
  /** `dead`: when it died, and of what. */
  readonly diedAt?: number
  readonly error?: { readonly name: string; readonly message: string; readonly stack?: string }
  /** `completed`: when, and with what. */
  readonly completedAt?: number
  readonly result?: unknown
}

/** A record that cannot be decoded is shown as it is: whoever looks must see it, to remove it. */
export function taskView(id: string, state: TaskState, record: string, attemptsUsed: number): Task {
  try {
    const { type, data, priority, maxAttempts, enqueuedAt, metadata } = decodeRecord(id, record)
    const attempt = state === 'active' || state === 'completed' ? attemptsUsed + 1 : attemptsUsed
    return { id, type, data, priority, state, attempt, maxAttempts, enqueuedAt, metadata }
  } catch (error) {
    if (!(error instanceof InvalidDataError)) throw error
    const unknown = {
      type: '(undecodable)',
      priority: 'medium',
      maxAttempts: 0,
      enqueuedAt: 0,
      metadata: {},
    } as const
    return { id, state, data: record, attempt: attemptsUsed, ...unknown }
  }
}

export function storedTaskView(id: string, stored: StoredTask): Task {
  const view = taskView(id, stored.state, stored.record, stored.attemptsUsed)
  switch (stored.state) {
    case 'ready':
    case 'active':
      return view
    case 'scheduled':
      return { ...view, runAt: stored.atMs }
    case 'dead':
      return { ...view, diedAt: stored.atMs, error: JSON.parse(stored.error) as NonNullable<Task['error']> }
    case 'completed':
      return { ...view, completedAt: stored.atMs, result: JSON.parse(stored.result) as unknown }
  }
}
