import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { expect, onTestFinished } from 'vitest'
import type { LocalCluster } from '../../src/cluster/index.js'
import { parseClusterNodes } from '../../src/cluster/replies.js'
import { eventually } from './behaviour/harness.js'
import { tell } from './nodes.js'

/** The id of who sends it stands here in every message of the cluster bus. */
const [ID_AT, ID_END] = [40, 80]

/** As cluster-node-timeout. */
const [FOR_NOW_MS, AFTERWARDS_MS] = [60_000, 5_000]

interface Wire {
  readonly ends: readonly [string, string]
  readonly sockets: readonly Socket[]
}

/**
 * Stands between all nodes of a cluster on this machine, so that two of them can be kept from hearing of each other, while both serve clients
 * and their replicas follow: each node announces a bus port of ours.
 */
export class Bus {
  readonly #wires = new Set<Wire>()
  #isCut: (one: string, other: string) => boolean = () => false

  private constructor(private readonly ports: readonly number[]) {}

  static async between(cluster: LocalCluster): Promise<Bus> {
    const bus = new Bus(cluster.seeds.map(({ port }) => port))
    const ours: number[] = []
    for (const port of bus.ports) {
      const [self] = (await bus.#seenBy(port)).filter(({ myself }) => myself)
      if (self) ours.push(await bus.#listen(self.id, self.busPort))
    }
    for (const [i, port] of bus.ports.entries())
      await tell(port, 'CONFIG', 'SET', 'cluster-announce-bus-port', ours[i] ?? 0)
    await bus.#untilWhole(ours)
    await bus.#setTimeouts(FOR_NOW_MS)
    return bus
  }

  /** None of these pairs hears of each other from now on, in either direction; and nobody counts as failed for it. */
  cut(isCut: (one: string, other: string) => boolean): void {
    this.#isCut = (one, other) => isCut(one, other) || isCut(other, one)
    for (const wire of this.#wires)
      if (this.#isCut(...wire.ends)) for (const socket of wire.sockets) socket.destroy()
  }

  async heal(): Promise<void> {
    this.#isCut = () => false
    await this.#untilWhole()
    // What was sent while it was cut counts from then on.
    await this.#setTimeouts(AFTERWARDS_MS)
  }

  #untilWhole(busPorts?: readonly number[]): Promise<void> {
    return eventually(async () => {
      for (const port of this.ports)
        for (const node of (await this.#seenBy(port)).filter(({ myself }) => !myself)) {
          expect(node.linkState).toBe('connected')
          if (busPorts) expect(busPorts).toContain(node.busPort)
        }
    }, 20_000)
  }

  async #setTimeouts(ms: number): Promise<void> {
    for (const port of this.ports) await tell(port, 'CONFIG', 'SET', 'cluster-node-timeout', ms)
  }

  #seenBy = async (port: number) => parseClusterNodes(await tell(port, 'CLUSTER', 'NODES'), '127.0.0.1')

  /** @returns the port on which others reach that node's bus through us */
  async #listen(id: string, busPort: number): Promise<number> {
    const open = new Set<Socket>()
    const server = createServer((incoming) => {
      const outgoing = dial(busPort, '127.0.0.1')
      const sockets = [incoming, outgoing]
      let head = Buffer.alloc(0)
      let wire: Wire | undefined
      const end = () => {
        for (const socket of sockets) socket.destroy()
        for (const socket of sockets) open.delete(socket)
        if (wire) this.#wires.delete(wire)
      }
      for (const socket of sockets) {
        open.add(socket)
        socket.on('error', end).on('close', end)
      }
      outgoing.on('data', (piece) => incoming.write(piece))
      incoming.on('data', (piece: Buffer) => {
        if (wire) {
          outgoing.write(piece)
          return
        }
        head = Buffer.concat([head, piece])
        if (head.length < ID_END) return
        wire = { ends: [head.toString('latin1', ID_AT, ID_END), id], sockets }
        this.#wires.add(wire)
        if (this.#isCut(...wire.ends)) end()
        else outgoing.write(head)
      })
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    onTestFinished(() => {
      for (const socket of open) socket.destroy()
      server.close()
    })
    return (server.address() as AddressInfo).port
  }
}
