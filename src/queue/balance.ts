import type { Node } from '../connection/node.js'

/** Tasks per partition by which one shard may run ahead of the slowest. */
const LEAD_PER_PARTITION = 250
/** A shard that takes nothing and is further behind is not made to catch up: that would hold up the others for long. */
const FORGIVEN_PER_PARTITION = 2_500

interface Load {
  sent: number
  partitions: number
}

/**
 * Keeps the shards equally loaded. Left alone, a producer with much to send gives most to the master that answers
 * fastest. The price: while it has, it sends at the pace of the slowest master, but only of one that takes tasks. One that
 * takes none at the moment (`takesNone`: it refuses, keeps a batch waiting, or has first to take what only it may have) holds
 * up nobody; it catches up on a short pause, and a long one is forgiven.
 */
export class Balance {
  #loads = new Map<Node, Load>()

  /** Starts anew: after a change of the shards, so that one that was away is not flooded to catch up. */
  reset(owners: Iterable<Node | undefined>): void {
    this.#loads = new Map()
    for (const node of owners) {
      if (!node) continue
      const load = this.#loads.get(node)
      if (load) load.partitions++
      else this.#loads.set(node, { sent: 0, partitions: 1 })
    }
  }

  allows(node: Node, takesNone: (node: Node) => boolean): boolean {
    const own = this.#loads.get(node)
    if (!own) return true
    for (const [other, load] of this.#loads) {
      const lead = own.sent / own.partitions - load.sent / load.partitions
      if (lead < LEAD_PER_PARTITION) continue
      if (!takesNone(other)) return false
      if (lead >= FORGIVEN_PER_PARTITION) {
        for (const each of this.#loads.values()) each.sent = 0
        return true
      }
    }
    return true
  }

  add(node: Node, tasks: number): void {
    const load = this.#loads.get(node)
    if (load) load.sent += tasks
  }

  /** They were sent, and not taken. All may have begun anew since. */
  giveBack(node: Node, tasks: number): void {
    const load = this.#loads.get(node)
    if (load) load.sent = Math.max(0, load.sent - tasks)
  }
}
