import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const script = loadScript('void')

/** How many copies were still there and are removed. */
export function voidCall(keys: PartitionKeys, ids: readonly string[]): ScriptCall<number> {
  return { script, keys: [keys.tasks, keys.scheduled], args: ids, parse: (reply) => reply as number }
}
