import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'

/** A link of so many bytes per second in front of a server, in each direction and on each connection; small pieces pass at once. */
export async function throttled({ host, port }: Address, bytesPerSecond: number): Promise<Address> {
  const open = new Set<Socket>()
  const pass = (from: Socket, to: Socket) => {
    open.add(from)
    from.on('error', () => to.destroy())
    from.on('close', () => to.destroy())
    from.on('data', async (piece: Buffer) => {
      to.write(piece)
      if (piece.length < 2_000) return
      from.pause()
      await sleep((piece.length / bytesPerSecond) * 1_000)
      from.resume()
    })
  }
  const server = createServer({ highWaterMark: 32 * 1024 }, (incoming) => {
    const outgoing = dial(port, host)
    pass(incoming, outgoing)
    pass(outgoing, incoming)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    for (const socket of open) socket.destroy()
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}
