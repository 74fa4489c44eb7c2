import { EventEmitter } from 'node:events'
import { SLOT_COUNT } from '../keys/slots.js'
import { isRefusal, refusalOf } from '../rights/refusal.js'
import { type NodeView, parseClusterNodes } from './cluster-view.js'
import { Node } from './node.js'
import type { NodeAddress } from './options.js'
import type { SocketOptions } from './socket.js'

const PROBE_CLUSTER = ['CLUSTER', 'NODES'] as const
const PROBE_SINGLE = ['PING'] as const

/** Ms between looks while all is well: one node is asked, each time another. */
const CALM_MS = 1_000
/** Ms between looks while a master is down or a slot has no owner. */
const ALARM_MS = 100
/** Ms after a change in which it goes on like an alarm: nodes hear of slots sooner than of who follows whom. */
const UNSETTLED_MS = 2_000
/** Most healthy nodes that are asked at once in an alarm; silent ones are probed besides. */
const ASKED_IN_ALARM = 3
/** Claims that are remembered as known. More than a cluster has; beyond it, all are looked at again. */
const MOST_CLAIMS = 10_000

export interface TopologyOptions {
  readonly mode: 'cluster' | 'single'
  readonly seeds: readonly NodeAddress[]
  readonly natMap: Readonly<Record<string, NodeAddress>>
  readonly socket: Omit<SocketOptions, 'address'>
  readonly probeTimeoutMs: number
}

/**
 * Who serves which slot. The nodes are authoritative; of two that disagree about a slot, the claim with the
 * higher configuration epoch is right (cluster specification, "Hash slots configuration propagation"), so a
 * master that comes back with an old view is not believed.
 *
 * `change`: the owner of some slot, or the state of some node, is another.
 */
export class Topology extends EventEmitter<{ change: []; node: [Node] }> {
  readonly #nodes = new Map<string, Node>()
  readonly #seeds = new Set<string>()
  readonly #owners: (Node | undefined)[] = new Array(SLOT_COUNT).fill(undefined)
  readonly #epochs = new Float64Array(SLOT_COUNT)
  /** Claims to slots that have been merged since the last change: views mostly say again what is known. */
  readonly #known = new Set<string>()
  #masters: readonly Node[] | undefined
  /** Slots with an owner; of the time when `#masters` was made. */
  #owned = 0
  #replicas = new Map<string, Node[]>()
  readonly #asking = new Set<Node>()
  #timer: NodeJS.Timeout | undefined
  #lookAtMs = Number.POSITIVE_INFINITY
  #unsettledUntilMs = 0
  #turn = 0
  #stopped = false

  constructor(private readonly options: TopologyOptions) {
    super()
    this.setMaxListeners(0)
    for (const address of options.seeds) this.#seeds.add(this.node(address).name)
    if (options.mode === 'single') {
      const seed = options.seeds[0]
      if (seed) this.#owners.fill(this.node(seed))
    }
  }

  ownerOf(slot: number): Node | undefined {
    return this.#owners[slot]
  }

  /** Replicas that the cluster does not count as failed. */
  replicasOf(master: Node): readonly Node[] {
    return this.#replicas.get(master.name) ?? []
  }

  /** Nodes that own slots. */
  masters(): readonly Node[] {
    if (!this.#masters) {
      const owners = this.#owners.filter((node) => node !== undefined)
      this.#owned = owners.length
      this.#masters = [...new Set(owners)]
    }
    return this.#masters
  }

  slotCount(master: Node): number {
    return this.#owners.reduce((sum, node) => sum + (node === master ? 1 : 0), 0)
  }

  nodes(): Node[] {
    return [...this.#nodes.values()]
  }

  node(announced: NodeAddress): Node {
    const address = this.options.natMap[`${announced.host}:${announced.port}`] ?? announced
    const name = `${address.host}:${address.port}`
    let node = this.#nodes.get(name)
    if (!node) {
      node = new Node(address, this.options.socket, (changed) => {
        if (this.#stopped) return
        this.emit('node', changed)
        this.emit('change')
        // Up again, too: it may have come back as something else.
        this.look()
      })
      this.#nodes.set(name, node)
    }
    return node
  }

  /** The node that is known by this address; makes none. */
  nodeAt(announced: NodeAddress): Node | undefined {
    const name = `${announced.host}:${announced.port}`
    const address = this.options.natMap[name]
    return this.#nodes.get(address ? `${address.host}:${address.port}` : name)
  }

  start(): void {
    this.look()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const node of this.#nodes.values()) node.stop()
  }

  /** Something smells: look now. Calls within a few ms make one look. */
  look(): void {
    this.#schedule(5)
  }

  /** A nearer look stays: who asks again and again must not put it off. */
  #schedule(ms: number): void {
    const atMs = performance.now() + ms
    if (this.#stopped || atMs >= this.#lookAtMs) return
    this.#lookAtMs = atMs
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#lookAtMs = Number.POSITIVE_INFINITY
      this.#schedule(this.#calm() ? CALM_MS : ALARM_MS)
      this.#lookAround()
    }, ms)
  }

  #calm(): boolean {
    const masters = this.masters()
    return (
      performance.now() > this.#unsettledUntilMs &&
      masters.every((node) => node.up) &&
      this.#owned === SLOT_COUNT
    )
  }

  #lookAround(): void {
    const nodes = [...this.#nodes.values()]
    const up = nodes.filter((node) => node.up)
    const count = this.#calm() ? 1 : ASKED_IN_ALARM
    for (let i = 0; i < Math.min(count, up.length); i++) {
      const node = up[this.#turn++ % up.length]
      if (node) this.#askInBackground(node)
    }
    for (const node of nodes) if (!node.up) this.#askInBackground(node)
  }

  #askInBackground(node: Node): void {
    if (this.#asking.has(node)) return
    this.#asking.add(node)
    void this.ask(node).finally(() => this.#asking.delete(node))
  }

  /**
   * Asks one node for its view and takes over what is newer. Never rejects: a silent node is marked down.
   * @returns whether it has told; an Error: why it will not
   */
  async ask(node: Node): Promise<boolean | Error> {
    const command = this.options.mode === 'cluster' ? PROBE_CLUSTER : PROBE_SINGLE
    const outcome = await node.send('probe', 0, [command], this.options.probeTimeoutMs)
    if (!outcome.ok || this.#stopped) return false
    const [reply] = outcome.replies
    if (this.options.mode === 'cluster' && typeof reply === 'string')
      this.#merge(parseClusterNodes(reply), node)
    if (!(reply instanceof Error)) return true
    return isRefusal(reply) && refusalOf(node.name, reply)
  }

  #nodeOf(entry: NodeView, asked: Node): Node | undefined {
    if (entry.address) return this.node(entry.address)
    return entry.myself ? asked : undefined
  }

  /** Nodes that have left the cluster are no longer probed: a whole view does not list them, and they own nothing. */
  #forgetAbsent(view: readonly NodeView[], asked: Node): void {
    if (assignedIn(view) < SLOT_COUNT) return
    const present = new Set(view.map((entry) => this.#nodeOf(entry, asked)))
    for (const [name, node] of this.#nodes) {
      if (present.has(node) || this.#seeds.has(name) || this.masters().includes(node)) continue
      this.#nodes.delete(name)
      node.stop()
    }
  }

  #merge(view: readonly NodeView[], asked: Node): void {
    // What is heard first is no change that others might not know of yet.
    const first = this.masters().length === 0
    let changed = false
    const replicas = new Map<string, Node[]>()
    const nameById = new Map<string, string>()
    for (const entry of view) {
      const node = this.#nodeOf(entry, asked)
      if (!node) continue
      nameById.set(entry.id, node.name)
      if (entry.role !== 'master') continue
      for (const range of entry.slots) {
        const claim = `${node.name} ${range} ${entry.epoch}`
        if (this.#known.has(claim)) continue
        if (this.#take(node, range, entry.epoch)) {
          changed = true
          this.#known.clear()
        } else if (this.#known.size > MOST_CLAIMS) {
          this.#known.clear()
        }
        this.#known.add(claim)
      }
    }
    for (const entry of view) {
      const master = entry.masterId === undefined ? undefined : nameById.get(entry.masterId)
      if (master === undefined || entry.failed) continue
      const replica = this.#nodeOf(entry, asked)
      if (replica) replicas.set(master, [...(replicas.get(master) ?? []), replica])
    }
    if (changed) this.#masters = undefined
    // A node that was removed from the cluster lists itself alone; it cannot tell who follows the others.
    const knowing = this.masters().length > 0 && assignedIn(view) >= this.#owned
    // Whether a shard has a replica decides whether it takes tasks.
    if (knowing && describe(replicas) !== describe(this.#replicas)) {
      changed = true
      this.#replicas = replicas
    }
    if (changed && !first) this.#unsettledUntilMs = performance.now() + UNSETTLED_MS
    this.#forgetAbsent(view, asked)
    if (changed) this.emit('change')
  }

  /** @returns whether some slot has another owner now */
  #take(node: Node, [from, to]: readonly [number, number], claimed: number): boolean {
    let changed = false
    for (let slot = from; slot <= to; slot++) {
      const epoch = this.#epochs[slot] ?? 0
      if (this.#owners[slot] === node) {
        this.#epochs[slot] = Math.max(epoch, claimed)
      } else if (this.#owners[slot] === undefined || claimed >= epoch) {
        this.#owners[slot] = node
        this.#epochs[slot] = claimed
        changed = true
      }
    }
    return changed
  }
}

function assignedIn(view: readonly NodeView[]): number {
  return view.flatMap(({ slots }) => slots).reduce((sum, [from, to]) => sum + to - from + 1, 0)
}

function describe(replicas: ReadonlyMap<string, readonly Node[]>): string {
  return [...replicas]
    .map(([master, nodes]) => `${master} ${nodes.map((node) => node.name).sort()}`)
    .sort()
    .join()
}
