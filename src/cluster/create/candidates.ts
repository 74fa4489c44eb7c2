import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { type Address, DEFAULT_TIMEOUT_MS, type LinkOptions, nameOf } from '../link.js'
import { numbersOf } from '../meet.js'
import { type NodeObservation, Observer } from '../observer.js'
import { BUS_OFFSET, isListening } from '../ports.js'

/** A server that is to become a node. */
export interface NewNode extends Address {
  /** Where others reach its cluster bus. Default: the port that it names itself, else `port` + 10000. */
  readonly busPort?: number
}

/** A server as it was found, and as the others are to be told of it. */
export interface Candidate {
  /** `host:port`, as it was given. */
  readonly name: string
  readonly address: Address
  /** The address of numbers behind the name, which is what MEET takes; null where the name means nothing. */
  readonly ip: string | null
  readonly busPort: number
  readonly seen: NodeObservation
  /** Whether its bus port takes connections from here; null where it was not tried. */
  readonly busOpen: boolean | null
  readonly tls?: boolean | TlsOptions
}

/** Asks every server for all that decides about it. Changes nothing. */
export async function lookAt(nodes: readonly NewNode[], options: LinkOptions): Promise<Candidate[]> {
  const { tls } = options
  const observer = new Observer(nodes, { ...options, config: true })
  try {
    const [ips, { nodes: seen }] = await Promise.all([
      Promise.all(nodes.map(({ host }) => numbersOf(host))),
      observer.observe(),
    ])
    return await Promise.all(
      nodes.map(async (node, index) => {
        const { host, port } = node
        const name = nameOf(node)
        const found = seen.find((each) => each.name === name) ?? unseen(name, { host, port })
        const ip = ips[index] ?? null
        const busPort = node.busPort ?? selfIn(found)?.busPort ?? port + BUS_OFFSET
        const busOpen = found.up && ip !== null ? await isListening(busPort, ip, timeoutOf(options)) : null
        return { name, address: { host, port }, ip, busPort, seen: found, busOpen, ...(tls ? { tls } : {}) }
      }),
    )
  } finally {
    observer.close()
  }
}

const timeoutOf = ({ timeoutMs = DEFAULT_TIMEOUT_MS }: LinkOptions) => timeoutMs

/** It went by another name in the cluster that it is in, and was left out under this one. */
const unseen = (name: string, address: Address): NodeObservation => ({
  name,
  address,
  up: false,
  error: new Error('it is in a cluster already, under another name'),
})

export const selfIn = (seen: NodeObservation) =>
  seen.up ? seen.view.find(({ myself }) => myself) : undefined

export type Answering = Candidate & { readonly seen: Extract<NodeObservation, { up: true }> }

export const answers = (candidate: Candidate): candidate is Answering => candidate.seen.up

export const isLoopback = (ip: string) => ip === '::1' || ip.startsWith('127.')
