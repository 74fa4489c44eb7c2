import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const script = loadScript('peek')

export interface NextTask {
  readonly id: string
  readonly record: string
  readonly attemptsUsed: number
}

/** The next tasks of a partition, the highest priority first. */
export function peekCall(
  keys: PartitionKeys,
  input: { readonly most: number; readonly levels: readonly number[] },
): ScriptCall<NextTask[]> {
  return {
    script,
    keys: [...keys.ready, keys.tasks, keys.attempts, keys.never],
    args: [input.most, input.levels.join('')],
    parse(reply) {
      const flat = reply as string[]
      const tasks: NextTask[] = []
      for (let i = 0; i + 2 < flat.length; i += 3) {
        const [id, record, attempts] = flat.slice(i, i + 3) as [string, string, string]
        tasks.push({ id, record, attemptsUsed: Number(attempts) })
      }
      return tasks
    },
  }
}
