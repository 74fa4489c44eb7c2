import type { PartitionKeys } from '../keys/keys.js'
import { loadScript, type ScriptCall } from './script.js'

const script = loadScript('pause')

export function pauseCall(keys: PartitionKeys, paused: boolean): ScriptCall<void> {
  return { script, keys: [keys.paused, keys.never], args: [keys.wake, paused ? '1' : '0'], parse: () => {} }
}
