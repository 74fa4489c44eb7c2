import type { Connection } from '../connection/connection.js'
import { InvalidOptionError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { type DeadTask, deadListCall, deadRemoveCall, deadRetryCall } from '../scripts/dead.js'
import { MAX_BATCH, type ScriptCall } from '../scripts/script.js'
import type { Inspection } from './inspection.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { type Task, taskView } from './task-view.js'
import { checkInteger, checkKeys, checkText } from './validate.js'

export interface DeadLetter extends Task {
  readonly error: { readonly name: string; readonly message: string; readonly stack?: string }
  /** Ms since 1970, by the server's clock. */
  readonly diedAt: number
}

/** The tasks of a queue that have used up their attempts, over all partitions. */
export class DeadLetters {
  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly partitions: readonly Partition[],
    private readonly inspection: Inspection,
    private readonly options: ResolvedQueueOptions,
  ) {}

  /**
   * The latest first. `cursor` of one page gives the next; null at the end. Price: up to `limit` tasks are read
   * from every partition.
   * @param options `limit` 1 to 1,000, default 50
   */
  async list(
    options: { readonly limit?: number; readonly cursor?: string | null } = {},
  ): Promise<{ items: DeadLetter[]; cursor: string | null }> {
    checkKeys('options', options, ['limit', 'cursor'])
    const limit = checkInteger('options.limit', options.limit ?? 50, 1, MAX_BATCH)
    const rows = await this.#page(limit, parseCursor(options.cursor ?? null))
    const last = rows.at(-1)
    return {
      items: rows.map(({ task }) => deadLetter(task)),
      cursor: last && rows.length === limit ? `${last.task.diedAtMs}:${last.task.id}` : null,
    }
  }

  /** Makes a dead task ready again, with all its attempts. false: there is no dead task with this id. */
  retry(id: string): Promise<boolean> {
    return this.#one(id, (partition) => deadRetryCall(partition.keys, [id]))
  }

  /** Removes a dead task for good. false: there is no dead task with this id. */
  remove(id: string): Promise<boolean> {
    return this.#one(id, (partition) => deadRemoveCall(partition.keys, [id]))
  }

  /** Retries every dead task, or those of one type. Resolves with their number. */
  retryAll(filter: { readonly type?: string } = {}): Promise<number> {
    checkKeys('filter', filter, ['type'])
    return this.#all(filter.type, (partition, ids) => deadRetryCall(partition.keys, ids))
  }

  /** Removes every dead task for good. Resolves with their number. */
  purge(): Promise<number> {
    return this.#all(undefined, (partition, ids) => deadRemoveCall(partition.keys, ids))
  }

  async #one(id: string, callFor: (partition: Partition) => ScriptCall<number>): Promise<boolean> {
    checkText('id', id, 200)
    const found = await this.inspection.find(id)
    if (found?.task.state !== 'dead') return false
    return (await this.#call(found.partition, callFor(found.partition))) === 1
  }

  /** Walks from the latest back, so that tasks that die meanwhile are not walked into again. */
  async #all(
    type: string | undefined,
    callFor: (partition: Partition, ids: string[]) => ScriptCall<number>,
  ): Promise<number> {
    let total = 0
    let cursor: Cursor | null = null
    for (;;) {
      const rows: Row[] = await this.#page(MAX_BATCH, cursor)
      const last = rows.at(-1)
      if (!last) return total
      cursor = { diedAtMs: last.task.diedAtMs, id: last.task.id }
      for (const partition of this.partitions) {
        const ids = rows
          .filter(
            (row) =>
              row.partition === partition && (type === undefined || deadLetter(row.task).type === type),
          )
          .map((row) => row.task.id)
        if (ids.length > 0) total += await this.#call(partition, callFor(partition, ids))
      }
    }
  }

  async #page(limit: number, after: Cursor | null): Promise<Row[]> {
    // Tasks that died in the very ms of the cursor come again and are left out below; hence the pages may be short
    // of `limit` only where more than `limit` tasks of one partition died in one ms, and the read grows until not.
    const pages = await Promise.all(this.partitions.map((partition) => this.#pageOf(partition, limit, after)))
    return pages.flat().sort(latestFirst).slice(0, limit)
  }

  async #pageOf(partition: Partition, limit: number, after: Cursor | null): Promise<Row[]> {
    for (let count = limit + 1; ; count *= 2) {
      const tasks = await this.#call(
        partition,
        deadListCall(partition.keys, { fromMs: after?.diedAtMs, count }),
      )
      const rows = tasks
        .map((task) => ({ partition, task }))
        .filter(({ task }) => after === null || comesAfter(task, after))
      if (rows.length >= limit || tasks.length < count) return rows
    }
  }

  async #call<Value>(partition: Partition, call: ScriptCall<Value>): Promise<Value> {
    const timeoutMs = this.options.enqueueTimeoutMs
    const { value } = await this.connection.call(this.queue, partition.slot, call, {
      lane: 'inspect',
      timeoutMs,
    })
    return value
  }
}

interface Row {
  readonly partition: Partition
  readonly task: DeadTask
}

interface Cursor {
  readonly diedAtMs: number
  readonly id: string
}

function latestFirst(a: Row, b: Row): number {
  return b.task.diedAtMs - a.task.diedAtMs || (a.task.id < b.task.id ? 1 : -1)
}

function comesAfter(task: DeadTask, cursor: Cursor): boolean {
  return task.diedAtMs < cursor.diedAtMs || (task.diedAtMs === cursor.diedAtMs && task.id < cursor.id)
}

function parseCursor(cursor: string | null): Cursor | null {
  if (cursor === null) return null
  const found = /^(\d+):(.+)$/.exec(cursor)
  if (!found) throw new InvalidOptionError('options.cursor', 'expected the cursor of an earlier page')
  return { diedAtMs: Number(found[1]), id: found[2] ?? '' }
}

function deadLetter(task: DeadTask): DeadLetter {
  return {
    ...taskView(task.id, 'dead', task.record, task.attemptsUsed),
    error: JSON.parse(task.error || '{"name":"Error","message":"unknown"}') as DeadLetter['error'],
    diedAt: task.diedAtMs,
  }
}
