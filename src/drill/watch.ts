import { setTimeout as sleep } from 'node:timers/promises'
import { type NodeView, nameOf } from '../cluster/index.js'
import { NodeLink } from '../cluster/link.js'
import { parseClusterNodes } from '../cluster/replies.js'
import { ledgerNow } from '../ledger/index.js'
import type { Target } from './target.js'

/** So the times below are late by this much at most, and a round trip. */
const POLL_MS = 20
const RELINK_MS = 50

/** What was seen first, by whom, in ms of the ledger's clock. */
export interface Sighting {
  readonly atMs: number
  readonly node: NodeView
}

/**
 * Looks at the cluster through every node's own eyes, every 20 ms, over links of its own: what the queue's client
 * believes must not decide what is measured.
 */
export class Watch {
  /** A node flagged the struck master FAIL: a majority of masters agrees that it is gone. */
  failed: Sighting | null = null
  /** A replica of the struck master says of itself that it is a master, and has the slots. */
  promoted: Sighting | null = null
  /** The struck master did not answer, and then did, as a master still: somebody was quicker than the election. */
  returned: Sighting | null = null
  #gone = false
  readonly #views = new Map<string, readonly NodeView[]>()
  readonly #ending = new AbortController()
  readonly #loops: Promise<void>[] = []
  #sinceMs = Number.POSITIVE_INFINITY

  constructor(
    private readonly target: Target,
    private readonly onFailed: (by: Sighting) => void,
  ) {}

  start(): void {
    for (const node of this.target.before.nodes) this.#loops.push(this.#follow(node))
  }

  /** From now on what is seen counts. */
  strike(): void {
    this.#sinceMs = ledgerNow()
    this.#views.clear()
  }

  async stop(): Promise<void> {
    this.#ending.abort()
    await Promise.all(this.#loops)
  }

  /** Waits until a replica is promoted, or need not be. False after `timeoutMs`. @throws when the signal fires */
  untilPromoted(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return this.#until(() => this.promoted !== null || this.returned !== null, timeoutMs, signal)
  }

  /** Waits until every node sees `id` as the master of the struck slots. False after `timeoutMs`. */
  untilAllSee(id: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const { nodes } = this.target.before
    return this.#until(() => nodes.every((node) => this.#sees(node.id, id)), timeoutMs, signal)
  }

  #sees(observer: string, master: string): boolean {
    return this.#views.get(observer)?.some((node) => node.id === master && this.#serves(node)) ?? false
  }

  #serves({ role, slots }: NodeView): boolean {
    const [first] = this.target.shard.master.slots
    return (
      role === 'master' &&
      first !== undefined &&
      slots.some(([from, to]) => from <= first[0] && first[0] <= to)
    )
  }

  async #until(holds: () => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const deadline = performance.now() + timeoutMs
    while (!holds()) {
      if (performance.now() > deadline) return false
      await sleep(POLL_MS / 4, undefined, { signal })
    }
    return true
  }

  /** A node that does not answer is asked again and again: that is what a drill is about. */
  async #follow(node: NodeView): Promise<void> {
    const { signal } = this.#ending
    const address = this.target.addressOf(node)
    while (!signal.aborted) {
      let link: NodeLink | undefined
      try {
        link = await NodeLink.open(address, this.target.access)
        while (!signal.aborted) {
          this.#note(node, parseClusterNodes(await link.text('CLUSTER', 'NODES'), address.host))
          await sleep(POLL_MS)
        }
      } catch {
        if (node.id === this.target.shard.master.id && ledgerNow() > this.#sinceMs) this.#gone = true
        await sleep(RELINK_MS)
      } finally {
        link?.close()
      }
    }
  }

  #note(observer: NodeView, view: readonly NodeView[]): void {
    const atMs = ledgerNow()
    if (atMs < this.#sinceMs) return
    const { master, replicas } = this.target.shard
    this.#views.set(observer.id, view)
    if (observer.id !== master.id && !this.failed) {
      const struck = view.find(({ id }) => id === master.id)
      if (struck?.flags.includes('fail')) {
        this.failed = { atMs, node: observer }
        this.onFailed(this.failed)
      }
    }
    const itself = view.find(({ myself }) => myself)
    if (observer.id === master.id && this.#gone && !this.returned && itself && this.#serves(itself)) {
      this.returned = { atMs, node: observer }
    }
    const isReplica = replicas.some(({ id }) => id === observer.id)
    if (isReplica && !this.promoted && itself && this.#serves(itself)) {
      this.promoted = { atMs, node: observer }
    }
  }
}

export const seenBy = (sighting: Sighting) => nameOf(sighting.node)
