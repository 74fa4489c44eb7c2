import type { NodeAddress } from './options.js'
import { parseAddress } from './replies.js'

export interface NodeView {
  readonly id: string
  /** undefined: not known. Of `myself` the one it was asked at is right. */
  readonly address: NodeAddress | undefined
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
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [id, where, flagText, masterId, , , epoch, , ...slots] = line.trim().split(' ')
      const flags = (flagText ?? '').split(',')
      return {
        id: id ?? '',
        address: parseAddress(where?.split('@')[0]),
        myself: flags.includes('myself'),
        role: flags.includes('master') ? 'master' : 'replica',
        masterId: masterId === '-' ? undefined : masterId,
        failed: flags.some((flag) => ['fail', 'handshake', 'noaddr'].includes(flag)),
        epoch: Number(epoch),
        slots: slots.filter((slot) => !slot.startsWith('[')).map(parseRange),
      }
    })
}

function parseRange(text: string): [number, number] {
  const [from, to] = text.split('-')
  return [Number(from), Number(to ?? from)]
}
