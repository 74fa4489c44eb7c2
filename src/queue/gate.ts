import type { Confirmation, Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Partition } from '../keys/partitions.js'
import { touch } from './touch.js'

export type ShardState =
  /** Takes enqueues. */
  | 'open'
  /** Silent, or its connections break. */
  | 'down'
  /** Its replicas do not confirm in time, or it has too few. */
  | 'short'
  /** Refuses writes: memory full, too few replicas, disk trouble. */
  | 'full'

/** Ms between tries of a shard that is short or full. */
const RETRY_MS = 200
/**
 * A shard is tried at once, and so many ms after each failure in the first while: a replica that is restarted in good order, or a
 * master that has just been handed over, is back within some 100 ms, and tasks with a key wait for it. Each try waits for the replica
 * on the server, so it hears of it when it is there. The price is a write of some bytes for each.
 */
const EAGER_RETRY_MS = 10
const EAGER_MS = 2_000

/**
 * Which shards take enqueues at the moment. A shard whose replicas did not confirm is left alone until a small write
 * of our own is confirmed there; one that refused to write, for a moment. So tasks pay for finding out only once. A master
 * that is back after a break, or new, has to confirm such a write first, since its replica may still be catching up.
 */
export class Gate {
  readonly #short = new Map<Node, { readonly sinceMs: number; timer?: NodeJS.Timeout }>()
  /** In which of its lives (see node.ts) each master was last known to confirm. */
  readonly #trusted = new Map<Node, number>()
  /** Masters that confirm although the cluster lists too few replicas of them yet: its nodes tell each other late. */
  readonly #notAlone = new Set<Node>()
  readonly #full = new Map<Node, NodeJS.Timeout>()
  /** Writes of our own that are under way. */
  readonly #probing = new Set<Promise<void>>()
  #stopped = false

  constructor(
    private readonly connection: Connection,
    private readonly confirmation: Confirmation | undefined,
    private readonly partitions: readonly Partition[],
    private readonly onChange: () => void,
  ) {
    // In the beginning all are trusted: whoever starts should not have to wait for anything.
    for (const node of connection.topology.masters()) this.#trusted.set(node, node.generation)
  }

  /** To be called when the topology has changed. */
  review(): void {
    if (!this.confirmation) return
    for (const partition of this.partitions) {
      const node = this.connection.topology.ownerOf(partition.slot)
      if (!node?.up || this.#short.has(node)) continue
      if (this.confirmation.shortfallOf(node) === undefined) this.#notAlone.delete(node)
      if (this.#isAlone(node) || this.#trusted.get(node) !== node.generation)
        this.#probeUntilConfirmed(node, partition)
    }
  }

  isOpen(partition: Partition): boolean {
    return this.stateOfPartition(partition) === 'open'
  }

  stateOfPartition(partition: Partition): ShardState {
    const node = this.connection.topology.ownerOf(partition.slot)
    return node === undefined ? 'down' : this.stateOf(node)
  }

  stateOf(node: Node): ShardState {
    if (!node.up) return 'down'
    if (this.#full.has(node)) return 'full'
    if (this.#short.has(node)) return 'short'
    return this.#isAlone(node) ? 'short' : 'open'
  }

  /** Why the shard of this partition is short, or was when it last did not confirm; undefined: it is not. */
  whyShort(partition: Partition): string | undefined {
    const node = this.connection.topology.ownerOf(partition.slot)
    if (!node || !this.confirmation || this.stateOf(node) !== 'short') return undefined
    return this.confirmation.shortfallOf(node) ?? this.confirmation.unconfirmedBy(node)
  }

  /** It has too few replicas. */
  #isAlone(node: Node): boolean {
    if (this.confirmation === undefined || this.#notAlone.has(node)) return false
    return this.confirmation.shortfallOf(node) !== undefined
  }

  reportFull(node: Node): void {
    // One that is short is left alone anyway, and for as long as it is.
    if (this.#full.has(node) || this.#short.has(node)) return
    const reopen = () => {
      this.#full.delete(node)
      this.onChange()
    }
    this.#full.set(node, setTimeout(reopen, RETRY_MS))
    this.onChange()
  }

  /** `partition` lies on the node; its probe key is what is written to find out. */
  reportShort(node: Node, partition: Partition): void {
    if (this.#short.has(node)) return
    this.#notAlone.delete(node)
    this.#probeUntilConfirmed(node, partition)
    this.onChange()
  }

  stop(): void {
    this.#stopped = true
    for (const { timer } of this.#short.values()) clearTimeout(timer)
    for (const timer of this.#full.values()) clearTimeout(timer)
    this.#short.clear()
    this.#full.clear()
  }

  /** Resolves when nothing is being written any more; for who has stopped it, and removes what was written. */
  async settled(): Promise<void> {
    await Promise.all(this.#probing)
  }

  #probeUntilConfirmed(node: Node, partition: Partition): void {
    this.#short.set(node, { sinceMs: performance.now() })
    this.#startProbe(node, partition)
  }

  #probeLater(node: Node, partition: Partition): void {
    const short = this.#short.get(node)
    if (!short) return
    const eager = performance.now() - short.sinceMs < EAGER_MS
    short.timer = setTimeout(() => this.#startProbe(node, partition), eager ? EAGER_RETRY_MS : RETRY_MS)
  }

  #startProbe(node: Node, partition: Partition): void {
    const probe = this.#probe(node, partition).finally(() => this.#probing.delete(probe))
    this.#probing.add(probe)
  }

  async #probe(node: Node, partition: Partition): Promise<void> {
    const { confirmation, connection } = this
    if (!confirmation) return
    // By whom it is confirmed must be certain before the number alone is believed again.
    const question = confirmation.ask(node, 0, true)
    const timeoutMs = connection.commandTimeoutMs
    const { generation } = node
    const others = this.partitions.filter(
      (other) => other !== partition && connection.topology.ownerOf(other.slot) === node,
    )
    const options = { lane: 'probe', socket: 1, timeoutMs } as const
    const outcome = await touch(node, [partition, ...others], question, options)
    if (this.#stopped) return
    // A node that no longer owns the slot cannot be asked this way, and is no longer asked for tasks either.
    const moved = connection.topology.ownerOf(partition.slot) !== node
    const confirmed = outcome.ok && outcome.confirmed && !(outcome.replies[0] instanceof Error)
    if (moved || confirmed) {
      this.#short.delete(node)
      if (confirmed) {
        this.#trusted.set(node, generation)
        this.#notAlone.add(node)
      }
      this.onChange()
    } else {
      // A replica that is still receiving its first copy is not waited for, as soon as that is known.
      await confirmation.look(node)
      if (!this.#stopped) this.#probeLater(node, partition)
    }
  }
}
