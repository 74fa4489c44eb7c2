import type { Connection } from '../../connection/connection.js'
import type { Lane } from '../../connection/node.js'
import { countCopies, partitionKeyNames } from '../../keys/keys.js'
import type { Partition } from '../../keys/partitions.js'
import type { Findings } from './report.js'

/** Keys of a slot up to which they are listed by slot; the servers have no cursor for that. Beyond, all keys are gone through. */
const MOST_IN_SLOT = 10_000
const SCANNED = 1_000
const PER_CALL = 200
/** A lease and its set come and go in one step; what was found apart so often is. */
const LOOKS = 3

/** Which keys a queue has, and whether it knows them all. */
export class KeyCheck {
  readonly #copies: ReturnType<typeof countCopies>
  /** Keys of the whole queue; some may lie in the slot of a partition. */
  readonly #ofQueue: ReadonlySet<string>

  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly options: { readonly lane: Lane; readonly timeoutMs: number },
    private readonly faults: Findings,
  ) {
    this.#copies = countCopies(queue, connection.options.mode)
    this.#ofQueue = new Set(this.#copies.map(({ key }) => key))
  }

  /** @param leases ids of leases that were found to have an entry */
  async partition(partition: Partition, leases: ReadonlySet<string>): Promise<void> {
    const { keys, slot, index } = partition
    const names = partitionKeyNames(keys)
    const prefix = keys.tasks.slice(0, -'tasks'.length)
    for await (const page of this.#keysOf(slot, prefix)) {
      const unknown = page.filter(
        (key) =>
          !this.#ofQueue.has(key) &&
          !names.whole.has(key) &&
          !names.beginnings.some((beginning) => key.startsWith(beginning)),
      )
      const there = await this.#those(slot, unknown, 'EXISTS', (count) => count === 1)
      if (there.length > 0) this.faults.add('unknown-key', index, there)
      const eternal = await this.#those(slot, page.filter(names.isExpiring), 'PTTL', (ttl) => ttl === -1)
      if (eternal.length > 0) this.faults.add('key-without-expiry', index, eternal)
      const ids = page
        .filter((key) => key.startsWith(keys.lease('')))
        .map((key) => key.slice(keys.lease('').length))
        .filter((id) => !leases.has(id))
      const lost = await this.#withoutEntry(partition, ids)
      if (lost.length > 0) this.faults.add('tasks-without-lease', index, lost)
    }
  }

  /** What is recorded of the queue as a whole. A copy that is missing is no fault: clients write it again. */
  async whole(partitions: number): Promise<void> {
    for (const { key, slot } of this.#copies) {
      const [recorded] = await this.#send(slot, [['HGET', key, 'partitions']])
      if (recorded === null || Number(recorded) === partitions) continue
      const detail = `${key} says ${recorded}, and this client opened it with ${partitions}`
      this.faults.add('partition-count', null, [], detail)
    }
    const [first] = this.#copies
    if (!first) return
    const prefix = first.key.slice(0, -'queue'.length)
    for await (const page of this.#keysOf(first.slot, prefix)) {
      const unknown = page.filter((each) => !this.#ofQueue.has(each))
      if (unknown.length > 0) this.faults.add('unknown-key', null, unknown)
    }
  }

  /** Keys of a slot that begin so, in pages. */
  async *#keysOf(slot: number, prefix: string): AsyncGenerator<string[]> {
    if (this.connection.options.mode === 'cluster') {
      const [count] = await this.#send(slot, [['CLUSTER', 'COUNTKEYSINSLOT', slot]])
      if (Number(count) <= MOST_IN_SLOT) {
        const [keys] = await this.#send(slot, [['CLUSTER', 'GETKEYSINSLOT', slot, MOST_IN_SLOT]])
        const ours = (keys as string[]).filter((key) => key.startsWith(prefix))
        for (let at = 0; at < ours.length; at += PER_CALL) yield ours.slice(at, at + PER_CALL)
        return
      }
    }
    const pattern = `${prefix.replace(/[*?[\]\\]/g, '\\$&')}*`
    let cursor = '0'
    do {
      const [page] = await this.#send(slot, [['SCAN', cursor, 'MATCH', pattern, 'COUNT', SCANNED]])
      const [next, keys] = page as [string, string[]]
      cursor = next
      if (keys.length > 0) yield keys
    } while (cursor !== '0')
  }

  async #those(
    slot: number,
    keys: readonly string[],
    command: 'EXISTS' | 'PTTL',
    is: (reply: unknown) => boolean,
  ): Promise<string[]> {
    const found: string[] = []
    for (let at = 0; at < keys.length; at += PER_CALL) {
      const some = keys.slice(at, at + PER_CALL)
      const replies = await this.#send(
        slot,
        some.map((key) => [command, key]),
      )
      found.push(...some.filter((_, i) => is(replies[i])))
    }
    return found
  }

  async #withoutEntry({ keys, slot }: Partition, ids: readonly string[]): Promise<string[]> {
    let left = [...ids]
    for (let look = 0; look < LOOKS && left.length > 0; look++) {
      const still: string[] = []
      for (let at = 0; at < left.length; at += PER_CALL) {
        const some = left.slice(at, at + PER_CALL)
        const replies = await this.#send(
          slot,
          some.flatMap((id) => [
            ['ZSCORE', keys.leases, id],
            ['EXISTS', keys.lease(id)],
          ]),
        )
        still.push(...some.filter((_, i) => replies[2 * i] === null && replies[2 * i + 1] === 1))
      }
      left = still
    }
    return left
  }

  #send(slot: number, commands: Parameters<Connection['commands']>[2]): Promise<unknown[]> {
    return this.connection.commands(this.queue, slot, commands, this.options)
  }
}
