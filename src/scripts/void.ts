import type { PartitionKeys } from '../keys/keys.js'
import { type Named, wholeBundleAt } from './bundles.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('void')

/** A task as it is to be found: by its name, and by the list that it was stored in. */
export interface Copy extends Named {
  readonly level: 0 | 1 | 2
}

export interface VoidInput {
  readonly producerId: string
  /** Batches of this producer up to this number are refused from now on, should they arrive late. */
  readonly batchNumber: number
  readonly rememberBatchMs: number
  /** Neighbours that are all tasks of one bundle cost as much as one task. */
  readonly copies: readonly Copy[]
}

export interface VoidResult {
  /** The number that the partition remembered of this producer before; 0 for none. */
  readonly previous: number
  /** Those of `copies` that were still there and are removed. */
  readonly removed: ReadonlySet<Copy>
}

export function voidCall(keys: PartitionKeys, input: VoidInput): ScriptCall<VoidResult> {
  const { copies } = input
  const names: string[] = []
  let levels = ''
  for (let at = 0; at < copies.length; ) {
    const { id, bundle, level } = copies[at] as Copy
    const size = wholeBundleAt(copies, at)
    names.push(size > 1 && bundle ? bundle.name : id)
    levels += level
    at += size
  }
  return {
    script,
    keys: [
      ...keys.ready,
      keys.tasks,
      keys.attempts,
      keys.checkpoints,
      keys.scheduled,
      keys.dead,
      keys.errors,
      keys.bundled,
      keys.counters,
      keys.producer(input.producerId),
      keys.never,
    ],
    args: [input.batchNumber, input.rememberBatchMs, levels, ...names],
    parse(reply) {
      const [previous, ...gone] = reply as [number, ...string[]]
      if (typeof previous !== 'number') throw unexpectedReply(script.name, reply)
      const removed = new Set(gone)
      const isRemoved = ({ id, bundle }: Copy) =>
        removed.has(id) || (bundle !== undefined && removed.has(bundle.name))
      return { previous, removed: new Set(copies.filter(isRemoved)) }
    },
  }
}
