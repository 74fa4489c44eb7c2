import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { visitingOrder } from '../keys/partitions.js'
import type { Backlog } from './backlog.js'
import { Balance } from './balance.js'
import type { Gate } from './gate.js'
import type { Item } from './item.js'
import type { ProducerLane } from './producer-lane.js'

/** Most tasks and bytes in one batch: what a master carries out in about a millisecond. */
export const BATCH_TASKS = 500
export const BATCH_BYTES = 512 * 1024
/** Ms after which a batch without a reply no longer holds up other shards. */
const STUCK_MS = 100
/** Tasks, one or a few at a time, that go to the same partition before it is another one's turn. */
const STICK_TASKS = 8

/** Deals tasks that may go to any partition out in batches, evenly, and to whoever is free. */
export class Dealer {
  /** Lanes without a call under way; the one that has been so for longest is first. */
  readonly idle: Set<ProducerLane>
  readonly #balance = new Balance()
  /** Masters with batches that wait for a replica, and how many. */
  readonly #confirming = new Map<Node, number>()
  /** Asked first, for so many more tasks. */
  #sticky: ProducerLane | undefined
  #stickyLeft = 0

  constructor(
    private readonly connection: Connection,
    private readonly gate: Gate,
    private readonly lanes: readonly ProducerLane[],
  ) {
    this.idle = new Set(visitingOrder(lanes.length).flatMap((index) => lanes[index] ?? []))
    this.rebalance()
  }

  /** To be called when the shards have changed. */
  rebalance(): void {
    const open = this.lanes.filter((lane) => this.gate.isOpen(lane.partition))
    this.#balance.reset(open.map((lane) => this.connection.topology.ownerOf(lane.partition.slot)))
  }

  /**
   * Not to masters with batches that wait for a replica: what is sent behind them would wait too (convoy.ts). As long as it
   * stays in the backlog it can become part of a larger batch, and go to whoever is free first.
   */
  deal(
    loose: Backlog,
    mayTake: (lane: ProducerLane) => boolean,
    send: (lane: ProducerLane, items: Item[], node: Node) => void,
  ): void {
    const busy = new Set(this.#confirming.keys())
    // Asked for again and again, and the same for all of this round.
    const known = new Map<Node, boolean>()
    const takesNone = (node: Node): boolean => {
      const answer = known.get(node) ?? this.#takesNone(node, mayTake)
      known.set(node, answer)
      return answer
    }
    const free = this.connection.topology.masters().filter((node) => !busy.has(node))
    if (free.length === 0) return
    const size = Math.min(Math.ceil(loose.size / free.length), BATCH_TASKS)
    const dealTo = (lane: ProducerLane): number => {
      if (lane.paused || lane.hasResend || !mayTake(lane)) return 0
      const node = this.connection.topology.ownerOf(lane.partition.slot)
      if (!node || busy.has(node) || !this.#balance.allows(node, takesNone)) return 0
      const { index } = lane.partition
      const items = loose.take(size, BATCH_BYTES, (item) => item.mayVisit(index))
      if (items.length === 0) return 0
      this.#balance.add(node, items.length)
      known.delete(node)
      send(lane, items, node)
      return items.length
    }
    // One task after the other is best off with a server and a socket that are warm (Kafka's sticky partitioner, KIP-480).
    if (this.#sticky && this.#stickyLeft > 0 && this.idle.has(this.#sticky)) {
      this.#stickyLeft -= dealTo(this.#sticky)
    }
    for (const lane of this.idle) {
      if (loose.size === 0) return
      const dealt = dealTo(lane)
      if (dealt === 0 || this.#stickyLeft > 0) continue
      this.#sticky = lane
      this.#stickyLeft = STICK_TASKS - dealt
    }
  }

  /** While this call waits for a replica, its master is dealt no more. */
  async confirming<Value>(lane: ProducerLane, call: () => Promise<Value>): Promise<Value> {
    const node = this.connection.topology.ownerOf(lane.partition.slot)
    if (!node) return call()
    this.#confirming.set(node, (this.#confirming.get(node) ?? 0) + 1)
    try {
      return await call()
    } finally {
      const left = (this.#confirming.get(node) ?? 1) - 1
      if (left > 0) this.#confirming.set(node, left)
      else this.#confirming.delete(node)
    }
  }

  /** The master has not taken what was dealt to it. */
  giveBack(node: Node, tasks: number): void {
    this.#balance.giveBack(node, tasks)
  }

  /** The others must not wait for it: it keeps a batch waiting, or none of its lanes can take tasks without a key. */
  #takesNone(node: Node, mayTake: (lane: ProducerLane) => boolean): boolean {
    const latestMs = performance.now() - STUCK_MS
    let takes = false
    for (const lane of this.lanes) {
      if (this.connection.topology.ownerOf(lane.partition.slot) !== node) continue
      if (lane.sending && lane.sentAtMs < latestMs) return true
      takes ||= !lane.refused && !lane.paused && !lane.hasResend && mayTake(lane)
    }
    return !takes
  }
}
