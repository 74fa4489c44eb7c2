import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const listScript = loadScript('dead-list')
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

/** Latest first, from `fromMs` (inclusive) back. */
export function deadListCall(
  keys: PartitionKeys,
  input: { readonly fromMs: number | undefined; readonly count: number },
): ScriptCall<DeadTask[]> {
  return {
    script: listScript,
    keys: [keys.dead, keys.tasks, keys.attempts, keys.errors, keys.never],
    args: [input.fromMs ?? '+inf', input.count],
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

/** How many of the ids were dead and are ready again. A dead letter without its record goes, and is not counted. */
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
