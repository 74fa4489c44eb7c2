import type { Redis } from 'ioredis'
import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import { type Fault, faultOfReply } from '../connection/replies.js'
import type { NodeSocket } from '../connection/socket.js'
import type { Partition } from '../keys/partitions.js'

export interface WakeListener {
  /** Tasks became ready in these lists, or (`s`) something was scheduled, or a lease made shorter, and is due before all else. */
  onWake(partition: Partition, message: string): void
  /** Wakes of this partition were not heard until now: it has to be looked at. */
  onListening(partition: Partition): void
  /** The server does not let us hear of this partition. */
  onRefused(partition: Partition, fault: Fault): void
}

/** Ms before a broken subscription is tried again, if the topology does not change before. */
const RETRY_MS = 200
/** The same where a right is missing, which seldom comes soon. */
const RETRY_REFUSED_MS = 5_000

interface Subscription {
  readonly node: Node
  readonly socket: NodeSocket
  readonly partitions: Set<Partition>
}

/**
 * One subscribed socket per master, for all partitions that it serves (sharded pub/sub: a channel belongs to the
 * slot of its hash tag). Follows partitions to other masters.
 */
export class Wakes {
  readonly #subscriptions = new Map<Node, Subscription>()
  readonly #byChannel: ReadonlyMap<string, Partition>
  #timer: NodeJS.Timeout | undefined
  #stopped = true
  readonly #follow = () => this.#align()

  constructor(
    private readonly connection: Connection,
    private readonly partitions: readonly Partition[],
    private readonly listener: WakeListener,
  ) {
    this.#byChannel = new Map(partitions.map((partition) => [partition.keys.wake, partition]))
  }

  start(): void {
    this.#stopped = false
    this.connection.topology.on('change', this.#follow)
    this.#align()
  }

  stop(): void {
    this.#stopped = true
    this.connection.topology.off('change', this.#follow)
    clearTimeout(this.#timer)
    for (const subscription of this.#subscriptions.values()) subscription.socket.close()
    this.#subscriptions.clear()
  }

  /** Whether the partition's wakes are heard. */
  hears(partition: Partition): boolean {
    const owner = this.connection.topology.ownerOf(partition.slot)
    return owner !== undefined && (this.#subscriptions.get(owner)?.partitions.has(partition) ?? false)
  }

  #align(): void {
    if (this.#stopped) return
    for (const partition of this.partitions) {
      const owner = this.connection.topology.ownerOf(partition.slot)
      for (const { node, partitions } of this.#subscriptions.values()) {
        // The socket to a node that went silent may be dead without knowing it.
        if (node !== owner || !node.up) partitions.delete(partition)
      }
      if (owner?.up && !this.hears(partition)) this.#subscribe(owner, partition)
    }
    for (const { node, socket, partitions } of this.#subscriptions.values()) {
      if (partitions.size > 0) continue
      this.#subscriptions.delete(node)
      socket.close()
    }
  }

  #subscribe(node: Node, partition: Partition): void {
    let subscription = this.#subscriptions.get(node)
    if (!subscription) {
      const socket = node.openSocket(
        (redis) => this.#receive(redis, () => this.#broken(node, socket)),
        () => this.#broken(node, socket),
      )
      subscription = { node, socket, partitions: new Set() }
      this.#subscriptions.set(node, subscription)
    }
    const { socket, partitions } = subscription
    partitions.add(partition)
    void socket
      .open()
      .then((redis) => redis.ssubscribe(partition.keys.wake))
      .then(
        () => this.listener.onListening(partition),
        (error: Error) => this.#failed(node, socket, partition, faultOfReply(error)),
      )
  }

  #receive(redis: Redis, onMoved: () => void): void {
    // The server has ended a subscription by itself, since its slot has moved away.
    redis.on('moved', onMoved)
    redis.on('smessage', (channel: string, message: string) => {
      const partition = this.#byChannel.get(channel)
      if (partition) this.listener.onWake(partition, message)
    })
  }

  #failed(node: Node, socket: NodeSocket, partition: Partition, fault: Fault): void {
    if (this.#subscriptions.get(node)?.socket !== socket) return
    if (fault.kind === 'denied') this.listener.onRefused(partition, fault)
    this.#broken(node, socket, fault.kind === 'denied' ? RETRY_REFUSED_MS : RETRY_MS)
  }

  /** Nothing is lost with the wakes that were missed: `onListening` has every partition looked at again. */
  #broken(node: Node, socket: NodeSocket, retryMs = RETRY_MS): void {
    if (this.#subscriptions.get(node)?.socket !== socket) return
    this.#subscriptions.delete(node)
    socket.close()
    if (this.#stopped) return
    this.connection.topology.look()
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#follow, retryMs)
  }
}
