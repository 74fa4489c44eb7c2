import type { Command } from '../connection/socket.js'
import type { PartitionKeys } from '../keys/keys.js'
import { loadScript } from './script.js'

const script = loadScript('touch')

/** Sent whole, since it is hardly longer than its hash, and then no node has to know it. */
export function touchCommand(keys: PartitionKeys): Command {
  return ['EVAL', script.source, 2, keys.probe, keys.never]
}
