import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('enqueue')

export interface NewTask {
  readonly id: string
  /** Without a newline: tasks travel as lines. */
  readonly record: string
  /** 0 high, 1 medium, 2 low. */
  readonly level: 0 | 1 | 2
  /** Ms until the task becomes ready; 0 for at once. */
  readonly delayMs: number
  readonly idempotencyKey: string | undefined
}

export interface EnqueueResult {
  /** `repeat`: this batch was stored before, and nothing was changed. Either way it is there now. */
  readonly kind: 'stored' | 'repeat'
  /** The number that the partition remembered of this producer before; 0 for none. */
  readonly previous: number
  /** Tasks that were not stored because their idempotency key is known: id asked -> id of the first one. */
  readonly replaced: ReadonlyMap<string, string>
}

export interface EnqueueInput {
  readonly producerId: string
  /** Above that of every batch stored before by this producer in this partition. */
  readonly batchNumber: number
  readonly rememberBatchMs: number
  readonly rememberKeyMs: number
  readonly tasks: readonly NewTask[]
}

export function enqueueCall(keys: PartitionKeys, input: EnqueueInput): ScriptCall<EnqueueResult> {
  const ready: [string[], string[], string[]] = [[], [], []]
  const scheduled: (string | number)[] = []
  const onceIds: string[] = []
  const onceKeys: string[] = []
  for (const task of input.tasks) {
    if (task.delayMs > 0) scheduled.push(task.id, task.record, task.delayMs)
    else ready[task.level].push(task.id, task.record)
    if (task.idempotencyKey !== undefined) {
      onceIds.push(task.id)
      onceKeys.push(keys.once(task.idempotencyKey))
    }
  }
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.scheduled,
      keys.producer(input.producerId),
      keys.counters,
      ...onceKeys,
    ],
    args: [
      keys.wake,
      input.batchNumber,
      input.rememberBatchMs,
      input.rememberKeyMs,
      ready[0].join('\n'),
      ready[1].join('\n'),
      ready[2].join('\n'),
      scheduled.join('\n'),
      onceIds.join('\n'),
    ],
    parse(reply) {
      const [kind, previous, ...pairs] = reply as [unknown, unknown, ...string[]]
      if ((kind !== 'stored' && kind !== 'repeat') || typeof previous !== 'number')
        throw unexpectedReply(script.name, reply)
      const replaced = new Map<string, string>()
      for (let i = 0; i + 1 < pairs.length; i += 2) replaced.set(pairs[i] as string, pairs[i + 1] as string)
      return { kind, previous, replaced }
    },
  }
}
