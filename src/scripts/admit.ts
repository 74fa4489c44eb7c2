import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('admit')

/**
 * Ms until tasks may be taken from the partition; 0 for now.
 * @param waitMs of a server that was loading its data a moment ago
 */
export function admitCall(keys: PartitionKeys, leastUptimeS: number, waitMs: number): ScriptCall<number> {
  return {
    script,
    keys: [keys.admitted, keys.never],
    args: [leastUptimeS, Math.ceil(waitMs)],
    parse(reply) {
      if (typeof reply !== 'number') throw unexpectedReply(script.name, reply)
      return Math.max(0, reply)
    },
  }
}
