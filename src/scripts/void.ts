import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('void')

export interface VoidInput {
  readonly producerId: string
  /** Batches of this producer up to this number are refused from now on, should they arrive late. */
  readonly batchNumber: number
  readonly rememberBatchMs: number
  readonly ids: readonly string[]
}

export interface VoidResult {
  /** The number that the partition remembered of this producer before; 0 for none. */
  readonly previous: number
  /** Ids of the copies that were still there and are removed. */
  readonly removed: readonly string[]
}

export function voidCall(keys: PartitionKeys, input: VoidInput): ScriptCall<VoidResult> {
  return {
    script,
    keys: [
      keys.tasks,
      keys.attempts,
      keys.checkpoints,
      keys.scheduled,
      keys.dead,
      keys.errors,
      keys.producer(input.producerId),
      keys.never,
    ],
    args: [input.batchNumber, input.rememberBatchMs, ...input.ids],
    parse(reply) {
      const [previous, ...removed] = reply as [number, ...string[]]
      if (typeof previous !== 'number') throw unexpectedReply(script.name, reply)
      return { previous, removed }
    },
  }
}
