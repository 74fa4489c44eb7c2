import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('depth')

/** Tasks of a partition: ready with high, medium and low priority, scheduled, dead, active. */
export type PartitionDepth = readonly [number, number, number, number, number, number]

export function depthCall(keys: PartitionKeys): ScriptCall<PartitionDepth> {
  return {
    script,
    keys: [...keys.ready, keys.scheduled, keys.dead, keys.leases, keys.bundled, keys.never],
    args: [keys.lease('')],
    parse(reply) {
      if (!Array.isArray(reply) || reply.length !== 6 || !reply.every((each) => typeof each === 'number'))
        throw unexpectedReply(script.name, reply)
      return reply as unknown as PartitionDepth
    },
  }
}
