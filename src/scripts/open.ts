import type { CountCopy } from '../keys/keys.js'
import { loadScript, type ScriptCall, unexpectedReply } from './script.js'

const script = loadScript('open')

/** The number of partitions that this copy has; `partitions` if it had none. */
export function openCall({ key, keys }: CountCopy, partitions: number): ScriptCall<number> {
  return {
    script,
    keys: [key, keys.never],
    args: [partitions],
    parse: (reply) => {
      if (typeof reply !== 'number') throw unexpectedReply('open', reply)
      return reply
    },
  }
}
