import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Address } from '../../src/cluster/index.js'

export interface Stalling {
  readonly address: Address
  /** What was held back has arrived, and was answered or not. */
  flush(): Promise<void>
}

/** As `flush` waits for an answer that may never come. */
const SETTLED_MS = 300

/**
 * A network in front of a server that loses the way of one connection: the first one that sends `word` gets no further from there, until it is
 * flushed. The server is not told when its client hangs up. All other connections pass.
 */
export async function stalling({ host, port }: Address, word: string): Promise<Stalling> {
  const sockets = new Set<Socket>()
  let held: { to: Socket; pieces: Buffer[] } | undefined
  const server = createServer({ allowHalfOpen: true }, (incoming) => {
    const outgoing = dial(port, host)
    for (const socket of [incoming, outgoing]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    const isHeld = () => held?.to === outgoing
    incoming.on('data', (piece: Buffer) => {
      if (held === undefined && piece.includes(word)) held = { to: outgoing, pieces: [] }
      if (isHeld()) held?.pieces.push(piece)
      else outgoing.write(piece)
    })
    outgoing.on('data', (piece: Buffer) => incoming.writable && incoming.write(piece))
    incoming.on('close', () => isHeld() || outgoing.destroy())
    outgoing.on('close', () => incoming.destroy())
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    async flush() {
      if (held === undefined) throw new Error(`nobody has sent ${word}`)
      const { to, pieces } = held
      for (const piece of pieces) if (to.writable) to.write(piece)
      await new Promise((settled) => setTimeout(settled, SETTLED_MS))
    },
  }
}
