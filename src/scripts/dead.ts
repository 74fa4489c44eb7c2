import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const listScript = loadScript('dead-list')
const idsScript = loadScript('dead-ids')
const retryScript = loadScript('dead-retry')
const removeScript = loadScript('dead-remove')

export interface DeadTask {
  readonly id: string
  readonly diedAtMs: number
  /** '' if it is lost. */
  readonly record: string
  readonly attemptsUsed: number
  /** JSON; '' if it is lost. */
  readonly error: string
}

/** A place in the dead letters of a partition, the latest first: what comes after this task, be it still there or not. */
export interface DeadCursor {
  readonly diedAtMs: number
  readonly id: string
}

export interface DeadPage {
  /** undefined: from the latest on. */
  readonly after: DeadCursor | undefined
  readonly count: number
  /** Bytes of records after which the page ends, short of `count`; at least one task is read. */
  readonly bytes: number
}

const cursorArgs = (after: DeadCursor | undefined) => [after?.diedAtMs ?? '', after?.id ?? '']

/** Latest first; [] at the end only. */
export function deadListCall(keys: PartitionKeys, page: DeadPage): ScriptCall<DeadTask[]> {
  return {
    script: listScript,
    keys: [keys.dead, keys.tasks, keys.attempts, keys.errors, keys.never],
    args: [...cursorArgs(page.after), page.count, page.bytes],
    parse(reply) {
      const flat = reply as string[]
      const tasks: DeadTask[] = []
      for (let i = 0; i + 4 < flat.length; i += 5) {
        const [id, died, record, attempts, error] = flat.slice(i, i + 5) as [
          string,
          string,
          string,
          string,
          string,
        ]
        tasks.push({ id, diedAtMs: Number(died), record, attemptsUsed: Number(attempts), error })
      }
      return tasks
    },
  }
}

export interface DeadIds {
  /** Ids of those that are wanted, and the last that was looked at. */
  readonly ids: readonly string[]
  readonly last: DeadCursor
}

/** Latest first, without the tasks. `type`: only of this one. undefined: there are none after the cursor. */
export function deadIdsCall(
  keys: PartitionKeys,
  page: DeadPage & { readonly type: string | undefined },
): ScriptCall<DeadIds | undefined> {
  const type = page.type === undefined ? '' : JSON.stringify(page.type)
  return {
    script: idsScript,
    keys: [keys.dead, keys.tasks, keys.never],
    args: [...cursorArgs(page.after), page.count, page.bytes, type],
    parse(reply) {
      const [diedAt, id, ids] = reply as [string?, string?, string[]?]
      if (diedAt === undefined || id === undefined || ids === undefined) return undefined
      return { ids, last: { diedAtMs: Number(diedAt), id } }
    },
  }
}

/** How many of the ids were dead and are ready again. */
export function deadRetryCall(keys: PartitionKeys, ids: readonly string[]): ScriptCall<number> {
  return {
    script: retryScript,
    keys: [...keys.ready, keys.tasks, keys.attempts, keys.dead, keys.errors, keys.never],
    args: [keys.wake, ...ids],
    parse: (reply) => reply as number,
  }
}

/** How many of the ids were dead and are removed, those without a record among them. */
export function deadRemoveCall(keys: PartitionKeys, ids: readonly string[]): ScriptCall<number> {
  return {
    script: removeScript,
    keys: [keys.dead, keys.tasks, keys.attempts, keys.errors, keys.checkpoints, keys.counters, keys.never],
    args: ids,
    parse: (reply) => reply as number,
  }
}
