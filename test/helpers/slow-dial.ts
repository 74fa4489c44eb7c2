import { type AddressInfo, createServer, connect as dial } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'

/** A way to a server on which each connection waits so long before anything gets through. */
export async function slowDial({ host, port }: Address, delayMs: number): Promise<Address> {
  const server = createServer((incoming) => {
    const outgoing = dial(port, host)
    const ends = [incoming, outgoing]
    for (const [i, socket] of ends.entries()) socket.on('error', () => ends[1 - i]?.destroy())
    onTestFinished(() => void outgoing.destroy())
    setTimeout(() => incoming.pipe(outgoing).pipe(incoming), delayMs)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => void server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}
