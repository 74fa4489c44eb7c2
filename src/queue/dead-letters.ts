import type { Connection } from '../connection/connection.js'
import { InvalidOptionError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import {
  type DeadCursor,
  type DeadTask,
  deadIdsCall,
  deadListCall,
  deadRemoveCall,
  deadRetryCall,
} from '../scripts/dead.js'
import { MAX_BATCH, type ScriptCall } from '../scripts/script.js'
import type { Durability } from './durability.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { type Task, taskView } from './task-view.js'
import { checkInteger, checkKeys, checkText } from './validate.js'

export interface DeadLetter extends Task {
  readonly error: { readonly name: string; readonly message: string; readonly stack?: string }
  /** Ms since 1970, by the server's clock. */
  readonly diedAt: number
}

/** Bytes of tasks in one reply; and most that one call reads to find those of a type, or to retry them: a few ms of a master's time. */
const PAGE_BYTES = 512 * 1024
const SCAN_BYTES = 4 * 1024 * 1024
/** Ids in one call. */
const PAGE_IDS = 500
/** Partitions that are read or changed at once, so that what is on its way to us stays bounded. */
const AT_ONCE = 8

/** The tasks of a queue that have used up their attempts, over all partitions. */
export class DeadLetters {
  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly durability: Durability,
    private readonly partitions: readonly Partition[],
    private readonly options: ResolvedQueueOptions,
  ) {}

  /**
   * The latest first. `cursor` of one page gives the next; null at the end. Price: what is returned, and up to 512 KB of tasks more
   * from each partition; in replies of about that size, whatever `limit` is.
   * @param options `limit` 1 to 1,000, default 50
   */
  async list(
    options: { readonly limit?: number; readonly cursor?: string | null } = {},
  ): Promise<{ items: DeadLetter[]; cursor: string | null }> {
    checkKeys('options', options, ['limit', 'cursor'])
    const limit = checkInteger('options.limit', options.limit ?? 50, 1, MAX_BATCH)
    const tasks = await this.#latest(limit, parseCursor(options.cursor ?? null))
    const last = tasks.at(-1)
    return {
      items: tasks.map(deadLetter),
      cursor: last && tasks.length === limit ? `${last.diedAtMs}:${last.id}` : null,
    }
  }

  /**
   * Makes a dead task ready again, with all its attempts; resolves once the queue's durability holds for it. false: there is no dead
   * task with this id, or its record is missing, so that nothing is left to run: `remove` it.
   * @throws QueueUnavailableError, NotReplicatedError
   */
  retry(id: string): Promise<boolean> {
    return this.#one(id, (partition) => deadRetryCall(partition.keys, [id]))
  }

  /**
   * Removes a dead task for good; resolves once the queue's durability holds for it. false: there is no dead task with this id.
   * @throws QueueUnavailableError, NotReplicatedError
   */
  remove(id: string): Promise<boolean> {
    return this.#one(id, (partition) => deadRemoveCall(partition.keys, [id]))
  }

  /**
   * Retries every dead task, or those of one type. Resolves with their number; where a call had to be sent again, tasks count whose
   * first call may have found them gone.
   * @throws QueueUnavailableError, NotReplicatedError; some may have been retried then, and the others still are dead
   */
  retryAll(filter: { readonly type?: string } = {}): Promise<number> {
    checkKeys('filter', filter, ['type'])
    return this.#all(filter.type, SCAN_BYTES, (partition, ids) => deadRetryCall(partition.keys, ids))
  }

  /** Removes every dead task for good. Resolves with their number. @throws as retryAll */
  purge(): Promise<number> {
    // What is removed is not read.
    return this.#all(undefined, Number.MAX_SAFE_INTEGER, (partition, ids) =>
      deadRemoveCall(partition.keys, ids),
    )
  }

  async #one(id: string, callFor: (partition: Partition) => ScriptCall<number>): Promise<boolean> {
    checkText('id', id, 200)
    const partition = await this.#partitionOf(id)
    if (!partition) return false
    const { value, resent } = await this.#change(partition, id, callFor(partition))
    // It was dead a moment ago: so the first call has done it.
    return value === 1 || resent
  }

  /** Which partition has it among its dead. The one that its id names is asked first: it may have gone to another. */
  async #partitionOf(id: string): Promise<Partition | undefined> {
    const named = /^([0-9a-z]+)\./.exec(id)?.[1]
    const first = named === undefined ? undefined : this.partitions[Number.parseInt(named, 36)]
    if (!first) return undefined
    const isIn = async ({ slot, keys }: Partition) => {
      const [diedAt] = await this.connection.commands(this.queue, slot, [['ZSCORE', keys.dead, id]], {
        lane: 'inspect',
        timeoutMs: this.options.enqueueTimeoutMs,
      })
      return diedAt !== null
    }
    if (await isIn(first)) return first
    const others = this.partitions.filter((partition) => partition !== first)
    const found = await Promise.all(others.map(isIn))
    return others.find((_, i) => found[i])
  }

  async #all(
    type: string | undefined,
    bytes: number,
    callFor: (partition: Partition, ids: readonly string[]) => ScriptCall<number>,
  ): Promise<number> {
    const counts = await mapSome(this.partitions, AT_ONCE, async (partition) => {
      let total = 0
      // From the latest back, so that tasks that die meanwhile are not walked into again.
      let after: DeadCursor | undefined
      for (;;) {
        const page = { after, count: PAGE_IDS, bytes, type }
        const found = await this.#look(partition, deadIdsCall(partition.keys, page))
        if (!found) return total
        after = found.last
        const [first] = found.ids
        if (first === undefined) continue
        const { value, resent } = await this.#change(partition, first, callFor(partition, found.ids))
        total += resent ? found.ids.length : value
      }
    })
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Merges what the partitions have, page by page; of each no more is read than is needed, but for the rest of a page. */
  async #latest(limit: number, after: DeadCursor | undefined): Promise<DeadTask[]> {
    const count = Math.min(limit, Math.ceil(limit / this.partitions.length) + 10)
    const walks = this.partitions.map((partition) => ({ partition, after, page: [] as DeadTask[], at: 0 }))
    const readOn = async (walk: (typeof walks)[number]) => {
      const page = { after: walk.after, count, bytes: PAGE_BYTES }
      walk.page = await this.#look(walk.partition, deadListCall(walk.partition.keys, page))
      walk.at = 0
      walk.after = walk.page.at(-1) ?? walk.after
    }
    await mapSome(walks, AT_ONCE, readOn)
    const latest: DeadTask[] = []
    while (latest.length < limit) {
      let next: (typeof walks)[number] | undefined
      for (const walk of walks) {
        const task = walk.page[walk.at]
        const best = next?.page[next.at]
        if (task && (!best || isLater(task, best))) next = walk
      }
      const task = next?.page[next.at]
      if (!next || !task) break
      latest.push(task)
      next.at++
      if (next.at === next.page.length && latest.length < limit) await readOn(next)
    }
    return latest
  }

  async #look<Value>(partition: Partition, call: ScriptCall<Value>): Promise<Value> {
    const { value } = await this.connection.call(this.queue, partition.slot, call, {
      lane: 'inspect',
      timeoutMs: this.options.enqueueTimeoutMs,
    })
    return value
  }

  /** @param id of a task that it is about, for an error to name */
  #change(
    partition: Partition,
    id: string,
    call: ScriptCall<number>,
  ): Promise<{ value: number; resent: boolean }> {
    return this.durability.call(partition, id, call, {
      lane: 'inspect',
      timeoutMs: this.options.enqueueTimeoutMs,
    })
  }
}

/** The latest first; those of one ms as the server has them (shared/dead.lua), ids being ASCII. */
function isLater(a: DeadTask, b: DeadTask): boolean {
  return a.diedAtMs > b.diedAtMs || (a.diedAtMs === b.diedAtMs && a.id > b.id)
}

/** Does `work` for each item, for up to `most` of them at once; in the order of the items. Ends with the first error. */
async function mapSome<Item, Value>(
  items: readonly Item[],
  most: number,
  work: (item: Item) => Promise<Value>,
): Promise<Value[]> {
  const values: Value[] = []
  let next = 0
  let failed = false
  const hand = async () => {
    while (next < items.length && !failed) {
      const i = next++
      try {
        values[i] = await work(items[i] as Item)
      } catch (error) {
        failed = true
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, hand))
  return values
}

function parseCursor(cursor: string | null): DeadCursor | undefined {
  if (cursor === null) return undefined
  const found = /^(\d+):(.+)$/s.exec(cursor)
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
