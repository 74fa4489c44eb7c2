import type { PartitionKeys } from '../keys/keys.js'
import type { Named } from './bundles.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'
import type { TaskBatch } from './task-batch.js'

const script = loadScript('enqueue')

export interface NewTask extends Named {
  /** Without a NUL (strings.ts) and without a newline (exchange.lua). */
  readonly record: string
  /** 0 high, 1 medium, 2 low. */
  readonly level: 0 | 1 | 2
  /** Ms until the task becomes ready; 0 for at once. */
  readonly delayMs: number
  /** What the key is called among those of its partition (`onceName`); undefined if the task has none. */
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
  readonly batch: TaskBatch
  /** What the queue is to count of the producer, besides. */
  readonly tally?: { readonly rerouted: number; readonly unconfirmed: number } | undefined
}

export function enqueueCall(keys: PartitionKeys, input: EnqueueInput): ScriptCall<EnqueueResult> {
  const { tally, batch } = input
  const { ready, scheduled, onceIds, onceKeys } = batch
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.scheduled,
      keys.producer(input.producerId),
      keys.counters,
      keys.bundled,
      ...onceKeys.map((key) => keys.once(key)),
      keys.never,
    ],
    args: [
      keys.wake,
      input.batchNumber,
      input.rememberBatchMs,
      input.rememberKeyMs,
      ...[...ready, scheduled, onceIds].flatMap(({ text, count }) => [text, count]),
      ...(tally ? [tally.rerouted, tally.unconfirmed] : []),
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
