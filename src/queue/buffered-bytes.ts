import type { Node } from '../connection/node.js'

/** The bytes of a queue's tasks that wait in this process, and for whom. */
interface Group {
  readonly master: Node | undefined
  bytes: number
}

/** Why there is no room: of all tasks, of tasks with a key, or of those that wait for one master. */
export type Shortage =
  | { readonly of: 'all' | 'keyed'; readonly bytes: number }
  | { readonly of: 'shard'; readonly bytes: number; readonly master: Node | undefined }

/** Of what may wait, the share that tasks with a key may take for one master, and the share that they leave to others. */
const SHARD_SHARE = 1 / 4
const LOOSE_SHARE = 1 / 4

/**
 * Accounts for what waits in this process to be stored. Tasks with a key wait for their master, and may do so for long; so those
 * of one master get a quarter of the room, and a quarter is kept for tasks without a key, which other masters take. Where there
 * is one master only, all wait for the same, and nothing is divided.
 */
export class BufferedBytes {
  #total = 0
  #loose = 0
  /** Of tasks with a key, by partition. */
  readonly #ofPartition: number[]
  #groups: Group[] = []
  #divided = false

  constructor(
    private readonly mostBytes: number,
    owners: readonly (Node | undefined)[],
  ) {
    this.#ofPartition = owners.map(() => 0)
    this.regroup(owners)
  }

  get total(): number {
    return this.#total
  }

  /** To be called when partitions have other masters. */
  regroup(owners: readonly (Node | undefined)[]): void {
    const byMaster = new Map<Node | undefined, Group>()
    this.#groups = owners.map((master, index) => {
      const group = byMaster.get(master) ?? { master, bytes: 0 }
      byMaster.set(master, group)
      group.bytes += this.#ofPartition[index] ?? 0
      return group
    })
    this.#divided = byMaster.size > 1
  }

  /** `partition`: of the task's key; undefined for a task without one. */
  add(partition: number | undefined, bytes: number): void {
    this.#total += bytes
    if (partition === undefined) {
      this.#loose += bytes
      return
    }
    this.#ofPartition[partition] = (this.#ofPartition[partition] ?? 0) + bytes
    const group = this.#groups[partition]
    if (group) group.bytes += bytes
  }

  remove(partition: number | undefined, bytes: number): void {
    this.add(partition, -bytes)
  }

  /** Bytes that wait for the same as such a task. */
  besides(partition: number | undefined): number {
    return partition === undefined ? this.#loose : (this.#groups[partition]?.bytes ?? 0)
  }

  /** Why one more has no room. One that is larger than all the room has it where nothing else waits. */
  shortage(partition: number | undefined, bytes: number): Shortage | undefined {
    const most = this.mostBytes
    if (isOver(this.#total, bytes, most)) return { of: 'all', bytes: this.#total }
    if (partition === undefined || !this.#divided) return undefined
    const group = this.#groups[partition]
    if (group && isOver(group.bytes, bytes, most * SHARD_SHARE)) return { of: 'shard', ...group }
    const keyed = this.#total - this.#loose
    return isOver(keyed, bytes, most * (1 - LOOSE_SHARE)) ? { of: 'keyed', bytes: keyed } : undefined
  }

  /** Whether who has many tasks should wait before the next: some `aheadBytes` of a kind keep its masters busy. */
  isCrowded(partition: number | undefined, bytes: number, aheadBytes: number): boolean {
    const most = partition === undefined || !this.#divided ? this.mostBytes / 2 : this.mostBytes * SHARD_SHARE
    if (this.besides(partition) > Math.min(aheadBytes, most)) return true
    return bytes <= this.mostBytes && this.shortage(partition, bytes) !== undefined
  }
}

function isOver(waiting: number, bytes: number, most: number): boolean {
  return waiting > 0 && waiting + bytes > most
}
