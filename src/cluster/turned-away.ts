import { connect } from 'node:net'
import type { Address } from './link.js'

/** Longer than any reason to hang up. */
const MOST_BYTES = 300

/** What a server says to one who connects and says nothing, before it hangs up; '' where it says nothing within the time-out. */
export function wordsOnArrival({ host, port }: Address, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs })
    let said = ''
    const answer = () => {
      socket.destroy()
      resolve(said)
    }
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
      if (said.includes('\n') || said.length > MOST_BYTES) answer()
    })
    for (const event of ['timeout', 'error', 'close'] as const) socket.once(event, answer)
  })
}
