import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const script = loadScript('void')

export interface VoidInput {
  readonly producerId: string
  /** Batches of this producer up to this number are refused from now on, should they arrive late. */
  readonly batchNumber: number
  readonly rememberBatchMs: number
  readonly ids: readonly string[]
}

/** Ids of the copies that were still there and are removed. */
export function voidCall(keys: PartitionKeys, input: VoidInput): ScriptCall<string[]> {
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
    ],
    args: [input.batchNumber, input.rememberBatchMs, ...input.ids],
    parse: (reply) => reply as string[],
  }
}
