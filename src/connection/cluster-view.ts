import type { Announced } from './endpoint.js'
import { parseAddress } from './replies.js'

export interface NodeView {
  readonly id: string
  /** undefined: not known. Of `myself` the one it was asked at is right. */
  readonly address: Announced | undefined
  /** It is only being introduced, under an id that its introducer made up. */
  readonly introduced: boolean
  /** The node that was asked. */
  readonly myself: boolean
  readonly role: 'master' | 'replica'
  readonly masterId: string | undefined
  /**
   * A majority has given it up (`fail`), or it is not there yet. One node's own suspicion (`fail?`) does not count: such a
   * replica may still be promoted.
   */
  readonly failed: boolean
  readonly epoch: number
  /** Slot ranges, both ends included. */
  readonly slots: readonly (readonly [number, number])[]
}

/** Reads CLUSTER NODES (https://redis.io/docs/latest/commands/cluster-nodes/). */
export function parseClusterNodes(text: string): NodeView[] {
  const view = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line): NodeView => {
      const [id, where, flagText, masterId, , , epoch, , ...slots] = line.trim().split(' ')
      const flags = (flagText ?? '').split(',')
      const [addressText, hostname] = (where ?? '').split(',')
      return {
        id: id ?? '',
        address: announced(addressText?.split('@')[0], flags.includes('noaddr') ? undefined : hostname),
        introduced: flags.includes('handshake'),
        myself: flags.includes('myself'),
        role: flags.includes('master') ? 'master' : 'replica',
        masterId: masterId === '-' ? undefined : masterId,
        failed: flags.some((flag) => ['fail', 'handshake', 'noaddr'].includes(flag)),
        epoch: Number(epoch),
        slots: slots.filter((slot) => !slot.startsWith('[')).map(parseRange),
      }
    })
  return withoutSharedNames(view)
}

/** `host:port` and the host name beside it; a name alone will do (`:7000@17000,name`). */
function announced(text: string | undefined, hostname: string | undefined): Announced | undefined {
  // Behind the name, or in its place, may stand more: `shard-id=...`.
  const name = hostname === '' || hostname?.includes('=') ? undefined : hostname
  const address = parseAddress(text)
  if (address) return { ...address, hostname: name }
  const port = Number(text?.slice(text.lastIndexOf(':') + 1))
  return name !== undefined && port > 0 ? { host: name, port, hostname: name } : undefined
}

/** A name that two nodes have with the same port tells neither of them. */
function withoutSharedNames(view: NodeView[]): NodeView[] {
  const nameOf = ({ address }: NodeView) => address?.hostname && `${address.hostname}:${address.port}`
  const count = new Map<string, number>()
  for (const node of view) {
    const name = nameOf(node)
    if (name && !node.introduced) count.set(name, (count.get(name) ?? 0) + 1)
  }
  return view.map((node) => {
    const name = nameOf(node)
    if (!name || !node.address || (count.get(name) ?? 0) <= 1) return node
    return { ...node, address: { ...node.address, hostname: undefined } }
  })
}

/** Slots that somebody serves. */
export function assignedIn(view: readonly NodeView[]): number {
  return view.flatMap(({ slots }) => slots).reduce((sum, [from, to]) => sum + to - from + 1, 0)
}

function parseRange(text: string): [number, number] {
  const [from, to] = text.split('-')
  return [Number(from), Number(to ?? from)]
}
