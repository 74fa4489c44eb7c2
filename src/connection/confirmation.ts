import type { Confirmation } from './connection.js'

/** Sent behind a write on the same socket, to learn that it is safe. undefined: the master's word is enough. */
export function confirmationFor(
  durability: 'async' | 'replicated' | 'fsynced',
  mode: 'cluster' | 'single',
  timeoutMs: number,
): Confirmation | undefined {
  switch (durability) {
    case 'async':
      return undefined
    case 'replicated':
      return {
        command: ['WAIT', 1, timeoutMs],
        timeoutMs,
        satisfiedBy: (reply) => typeof reply === 'number' && reply >= 1,
      }
    case 'fsynced': {
      const replicas = mode === 'cluster' ? 1 : 0
      return {
        command: ['WAITAOF', 1, replicas, timeoutMs],
        timeoutMs,
        satisfiedBy: (reply) => Array.isArray(reply) && reply[0] >= 1 && reply[1] >= replicas,
      }
    }
  }
}
