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
  /**
   * - `stored`: the batch is new, and is there now
   * - `repeat`: it was stored before, and nothing was changed
   * - `clash`: nothing was stored. Somebody else has used the number, or, where `there` has names, names of these tasks
   */
  readonly kind: 'stored' | 'repeat' | 'clash'
  /** The number that the partition remembered of this producer before, and the stamp of that batch; 0 and '' for none. */
  readonly previous: number
  readonly previousStamp: string
  /** Tasks that were not stored because their idempotency key is known: id asked -> id of the first one. */
  readonly replaced: ReadonlyMap<string, string>
  /** Of a clash: ids and names of bundles that have a record there already. */
  readonly there: readonly string[]
}

export interface EnqueueInput {
  readonly producerId: string
  /** Above that of every batch stored before by this producer in this partition; 0 to ask only. */
  readonly batchNumber: number
  /** Tells this batch from one with the same number of a producer that believes to be this one. */
  readonly stamp: string
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
      input.stamp,
      ...(tally ? [tally.rerouted, tally.unconfirmed] : []),
    ],
    parse(reply) {
      const [kind, previous, previousStamp = '', ...rest] = reply as [unknown, unknown, string?, ...string[]]
      if ((kind !== 'stored' && kind !== 'repeat' && kind !== 'clash') || typeof previous !== 'number')
        throw unexpectedReply(script.name, reply)
      const replaced = new Map<string, string>()
      if (kind === 'clash') return { kind, previous, previousStamp, replaced, there: rest }
      for (let i = 0; i + 1 < rest.length; i += 2) replaced.set(rest[i] as string, rest[i + 1] as string)
      return { kind, previous, previousStamp, replaced, there: [] }
    },
  }
}
