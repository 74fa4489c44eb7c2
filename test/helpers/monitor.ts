import { once } from 'node:events'
import { connect } from 'node:net'
import { onTestFinished } from 'vitest'

/**
 * Calls `onCommand` with each command that a node of this machine carries out (MONITOR), as soon as it has: for what is to happen in that
 * moment to processes that are not ours to hold. Ended when the test finishes, or by what it returns.
 */
export async function monitor(port: number, onCommand: (line: string) => void): Promise<() => void> {
  const socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('utf8')
  const end = () => void socket.destroy()
  onTestFinished(end)
  socket.on('error', () => undefined)
  let rest = ''
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\r\n')
    rest = lines.pop() ?? ''
    for (const line of lines) onCommand(line)
  })
  const begun = once(socket, 'data')
  socket.write('MONITOR\r\n')
  await begun
  return end
}
