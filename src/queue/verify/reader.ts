import type { Connection } from '../../connection/connection.js'
import type { Lane } from '../../connection/node.js'
import type { Partition } from '../../keys/partitions.js'
import type { ScriptCall } from '../../scripts/script.js'
import {
  locateCall,
  type Page,
  pageCall,
  type Section,
  type Snapshot,
  snapshotCall,
  type Whereabouts,
} from '../../scripts/verify.js'

/** Names that one page has, about, and bytes of records after which pages are made smaller. */
const PAGE = 500
const PAGE_BYTES = 256 * 1024
const FIRST_PAGE = 16

/** Reads a partition in steps that hold its master for a millisecond or so each. */
export class Reader {
  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly partition: Partition,
    private readonly options: { readonly lane: Lane; readonly timeoutMs: number },
    private readonly onStep: () => void,
  ) {}

  snapshot(mostNames: number): Promise<Snapshot> {
    return this.#call(snapshotCall(this.partition.keys, mostNames))
  }

  /** Pages of a hash or sorted set. A name that was there all the time is in one of them; it may be in several. */
  async *pages(section: Exclude<Section, 'list' | 'lease'>): AsyncGenerator<Page> {
    yield* this.#scan(this.#keyOf(section), section)
  }

  async *namesIn(leaseId: string): AsyncGenerator<readonly string[]> {
    for await (const { names } of this.#scan(this.partition.keys.lease(leaseId), 'lease')) yield names
  }

  /**
   * Pages of a ready list from its end to its head: so what is taken from the head meanwhile makes none be left out. What is added at
   * the end meanwhile moves the pages, and is found again by the entry where the page before began.
   */
  async *listFromEnd(key: string): AsyncGenerator<readonly string[]> {
    let passed = 0
    let last: string | undefined
    for (;;) {
      const from = last === undefined ? 0 : passed - 1
      const { names } = await this.#call(
        pageCall(this.partition.keys, {
          ...{ key, section: 'list' },
          cursor: -(from + PAGE),
          count: -(from + 1),
        }),
      )
      if (names.length === 0) return
      const known = last === undefined ? names.length : names.lastIndexOf(last)
      if (known < 0) {
        // So much was added at the end that the page lies before it; or all that was ahead of it has been taken.
        if (names.length < PAGE) return
        passed += names.length - 1
        continue
      }
      if (known > 0) yield names.slice(0, known)
      if (names.length < PAGE && known === 0) return
      passed = from + names.length
      last = names[0]
      if (names.length < PAGE) return
    }
  }

  locate(ids: readonly string[], near: number): Promise<{ whole: boolean; found: readonly Whereabouts[] }> {
    return this.#call(locateCall(this.partition.keys, ids, near))
  }

  commands(commands: Parameters<Connection['commands']>[2]): Promise<unknown[]> {
    return this.connection.commands(this.queue, this.partition.slot, commands, this.options)
  }

  async *#scan(key: string, section: Section): AsyncGenerator<Page> {
    let cursor = '0'
    let count = section === 'tasks' ? FIRST_PAGE : PAGE
    do {
      const page = await this.#call(pageCall(this.partition.keys, { key, section, cursor, count }))
      cursor = page.cursor
      // Records may be large: as many as make about the bytes that a page may have.
      if (section === 'tasks' && page.names.length > 0) {
        const each = Math.max(1, page.bytes / page.names.length)
        count = Math.max(1, Math.min(PAGE, 2 * count, Math.floor(PAGE_BYTES / each)))
      }
      yield page
    } while (cursor !== '0')
  }

  #keyOf(section: Exclude<Section, 'list' | 'lease'>): string {
    const { keys } = this.partition
    return section === 'expiry' ? keys.resultExpiry : keys[section]
  }

  async #call<Value>(call: ScriptCall<Value>): Promise<Value> {
    this.onStep()
    const { value } = await this.connection.call(this.queue, this.partition.slot, call, this.options)
    return value
  }
}
