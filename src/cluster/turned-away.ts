import { connect } from 'node:net'
import type { Address } from './link.js'

/** `ERR max number of clients reached`, and of a cluster `ERR max number of clients + cluster connections reached`. */
export const isFull = (message: string) => /^ERR max number of clients/.test(message)

/** Longer than any reason to hang up. */
const MOST_BYTES = 300

/**
 * What a server says of itself to one who connects and says nothing, before it hangs up; empty where it says nothing within the time-out,
 * or speaks TLS: then it hangs up without a word.
 */
export function wordsOnArrival(
  { host, port }: Address,
  { timeoutMs, tls }: { readonly timeoutMs: number; readonly tls: unknown },
): Promise<string> {
  if (tls !== undefined) return Promise.resolve('')
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    let said = ''
    const answer = () => {
      socket.destroy()
      resolve(/^-(.*)/.exec(said)?.[1]?.trim() ?? '')
    }
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (said.includes('\n') || said.length > MOST_BYTES) answer()
    })
    for (const event of ['timeout', 'error', 'close'] as const) socket.once(event, answer)
  })
}
