import type { Connection } from '../connection/connection.js'
import type { Node } from '../connection/node.js'
import type { Fault } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import type { Gate } from './gate.js'

/** What keeps tasks from being stored, in the words that their callers are told. */
export class Faults {
  /** What went wrong last with a master that has taken nothing since. */
  readonly #last = new WeakMap<Node, Fault>()

  constructor(
    private readonly connection: Connection,
    private readonly gate: Gate,
    private readonly partitions: readonly Partition[],
  ) {}

  /** Of the owner of the slot, which is not always who answered. `fault` undefined: it has taken something. */
  note(partition: Partition, fault: Fault | undefined): void {
    const owner = this.connection.topology.ownerOf(partition.slot)
    if (!owner) return
    if (fault) this.#last.set(owner, fault)
    else this.#last.delete(owner)
  }

  /** What keeps tasks from this partition; undefined: from all of them. */
  of(partition: Partition | undefined): Fault | undefined {
    const { topology } = this.connection
    const masters = partition ? [topology.ownerOf(partition.slot)] : topology.masters()
    const faults = masters.map((node) => node && (node.downBecause ?? this.#last.get(node)))
    return faults.find((fault) => fault?.kind === 'oom') ?? faults.find((fault) => fault !== undefined)
  }

  /** Why a task that may go to this partition alone, or to any, could not be stored, and the way out. */
  reason(partition: Partition | undefined, fault: Fault | undefined): string {
    const states = new Set(
      (partition ? [partition] : this.partitions).map((one) => this.gate.stateOfPartition(one)),
    )
    if (states.size !== 1 || !states.has('short'))
      return fault?.error.message ?? 'no shard took the task in time'
    const shards = partition ? 'the shard of its key has no' : 'no shard has a'
    const why = this.gate.whyShort(partition ?? (this.partitions[0] as Partition)) ?? fault?.error.message
    return (
      `${shards} replica that confirms${why === undefined ? '' : ` (${why})`}; ` +
      "bring one back, or acknowledge without it: onShortfall: 'accept'"
    )
  }
}
