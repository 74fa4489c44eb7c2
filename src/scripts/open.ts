import { queueKey } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const script = loadScript('open')

/** The number of partitions that the queue has; `partitions` if it is new. */
export function openCall(queue: string, partitions: number): ScriptCall<number> {
  return { script, keys: [queueKey(queue)], args: [partitions], parse: (reply) => reply as number }
}
