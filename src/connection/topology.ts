import { EventEmitter } from 'node:events'
import { ClusterReplacedError } from '../errors.js'
import { SLOT_COUNT } from '../keys/slots.js'
import { isRefusal, refusalOf } from '../rights/refusal.js'
import { assignedIn, type NodeView, parseClusterNodes } from './cluster-view.js'
import { type Announced, endpointOf } from './endpoint.js'
import { addressText, mappedIn } from './host.js'
import { Membership } from './membership.js'
import { Node } from './node.js'
import type { NodeAddress } from './options.js'
import type { SocketOptions } from './socket.js'

const PROBE_CLUSTER = ['CLUSTER', 'NODES'] as const
const PROBE_SINGLE = ['PING'] as const
/** Tells by which names the cluster wants its nodes to be called (`cluster-preferred-endpoint-type`). */
const ENDPOINTS = ['CLUSTER', 'SLOTS'] as const

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
  /** Told of what is odd, and keeps nothing from working. */
  readonly onNotice?: (notice: Error) => void
}

/**
 * Who serves which slot. The nodes are authoritative; of two that disagree about a slot, the claim with the
 * higher configuration epoch is right (cluster specification, "Hash slots configuration propagation"), so a
 * master that comes back with an old view is not believed. But whoever is taken for the owner knows better than any epoch that
 * it is not, and whom it has in its place. Nodes of other clusters are not believed at all (membership.ts).
 *
 * `change`: the owner of some slot, or the state of some node, is another.
 */
export class Topology extends EventEmitter<{ change: []; node: [Node] }> {
  readonly #nodes = new Map<string, Node>()
  readonly #seeds = new Set<string>()
  readonly #owners: (Node | undefined)[] = new Array(SLOT_COUNT).fill(undefined)
  readonly #epochs = new Float64Array(SLOT_COUNT)
  /** Slots that their owner has said it does not serve, and up to which epoch others are not believed that it does. */
  readonly #disclaimed = new Map<number, { readonly node: Node; readonly epoch: number }>()
  readonly #membership = new Membership()
  /** Nodes by all that their cluster calls them. */
  readonly #announced = new Map<string, Node>()
  /** Whether the cluster prefers host names; undefined until it has announced some, and was asked. */
  #preferNames: boolean | undefined
  /** Claims to slots that have been merged since the last change: views mostly say again what is known. */
  readonly #known = new Set<string>()
  #masters: readonly Node[] | undefined
  /** Slots with an owner; of the time when `#masters` was made. */
  #owned = 0
  #replicas = new Map<string, Node[]>()
  readonly #asking = new Set<Node>()
  /** Who is asked at the next look, whatever the turn. */
  readonly #suspects = new Set<Node>()
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

  /** The node that is announced so, or was before under another of its names. */
  node(announced: Announced): Node {
    const known = announced.hostname ? undefined : this.#announced.get(addressText(announced))
    if (known) return known
    const endpoint = endpointOf(announced, {
      natMap: this.options.natMap,
      tls: this.options.socket.tls,
      preferNames: this.#preferNames ?? false,
    })
    const name = addressText(endpoint)
    let node = this.#nodes.get(name)
    if (!node) {
      node = new Node(endpoint, this.options.socket, (changed) => {
        if (this.#stopped) return
        this.emit('node', changed)
        this.emit('change')
        // Up again, too: it may have come back as something else.
        this.look()
      })
      this.#nodes.set(name, node)
    } else if (announced.hostname) {
      // Under the same name, it may have another address.
      node.address = endpoint
    }
    if (announced.hostname) {
      this.#announced.set(addressText(announced), node)
      this.#announced.set(`${announced.hostname}:${announced.port}`, node)
    }
    return node
  }

  /** The node that is known by this address; makes none. */
  nodeAt(announced: NodeAddress): Node | undefined {
    const address = mappedIn(this.options.natMap, announced) ?? announced
    return this.#nodes.get(addressText(address)) ?? this.#announced.get(addressText(announced))
  }

  start(): void {
    this.look()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    for (const node of this.#nodes.values()) node.stop()
  }

  /** Something smells: look now, and at `suspect` in any case. Calls within a few ms make one look. */
  look(suspect?: Node): void {
    if (suspect) this.#suspects.add(suspect)
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
    for (const node of nodes) if (!node.up || this.#suspects.has(node)) this.#askInBackground(node)
    this.#suspects.clear()
  }

  #askInBackground(node: Node): void {
    if (this.#asking.has(node)) return
    this.#asking.add(node)
    void this.ask(node).finally(() => this.#asking.delete(node))
  }

  /**
   * Asks one node for its view and takes over what is newer. Never rejects: a silent node is marked down.
   * @returns true: it has told; an Error: why it has not
   */
  async ask(node: Node): Promise<true | Error> {
    const { mode, onNotice } = this.options
    const command = mode === 'cluster' ? PROBE_CLUSTER : PROBE_SINGLE
    const outcome = await node.send('probe', 0, [command], this.options.probeTimeoutMs)
    if (this.#stopped) return new Error('disconnected')
    if (!outcome.ok) {
      // Whose connections stand does not hear of it otherwise.
      const { kind, error } = outcome.fault
      if (kind === 'denied') onNotice?.(refusalOf(node.name, error))
      return error
    }
    const [reply] = outcome.replies
    if (mode === 'cluster' && typeof reply === 'string') {
      const view = parseClusterNodes(reply)
      if (!this.#admits(view, node)) {
        node.markStranger()
        return new Error(`${node.name} is a node of another cluster`)
      }
      await this.#learnPreference(view, node)
      if (this.#stopped) return new Error('disconnected')
      this.#merge(view, node)
    }
    node.markUp()
    if (!(reply instanceof Error)) return true
    return isRefusal(reply) ? refusalOf(node.name, reply) : reply
  }

  #admits(view: readonly NodeView[], asked: Node): boolean {
    const nowMs = performance.now()
    if (this.#membership.admits(view, nowMs)) return true
    const silentMs = this.#membership.replacedBy(
      view,
      this.#seeds.has(asked.name) ? asked.name : undefined,
      nowMs,
    )
    if (silentMs === undefined) return false
    this.#forgetAll()
    this.#membership.admits(view, nowMs)
    this.options.onNotice?.(new ClusterReplacedError(asked.name, Math.round(silentMs)))
    return true
  }

  /** Nothing that was known of the cluster before holds for this one. */
  #forgetAll(): void {
    this.#owners.fill(undefined)
    this.#epochs.fill(0)
    this.#disclaimed.clear()
    this.#known.clear()
    this.#announced.clear()
    this.#masters = undefined
    this.#owned = 0
    this.#replicas = new Map()
    this.#membership.clear()
  }

  /** In plain text nodes are called by their addresses, unless their cluster wants it otherwise; with TLS by their names anyway. */
  async #learnPreference(view: readonly NodeView[], asked: Node): Promise<void> {
    if (this.#preferNames !== undefined || this.options.socket.tls !== undefined) return
    const names = new Set(view.map(({ address }) => address?.hostname).filter((name) => name !== undefined))
    if (names.size === 0) return
    const outcome = await asked.send('probe', 0, [ENDPOINTS], this.options.probeTimeoutMs)
    if (!outcome.ok) return
    this.#preferNames = endpointsIn(outcome.replies[0]).some((endpoint) => names.has(endpoint))
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
      for (const [alias, called] of this.#announced) if (called === node) this.#announced.delete(alias)
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
        const claim = `${node.name} ${range} ${entry.epoch}${entry.myself ? ' itself' : ''}`
        if (this.#known.has(claim)) continue
        if (this.#take(node, range, entry.epoch, entry.myself)) {
          changed = true
          this.#known.clear()
        } else if (this.#known.size > MOST_CLAIMS) {
          this.#known.clear()
        }
        this.#known.add(claim)
      }
    }
    if (this.#heedDisclaimer(view, asked)) {
      changed = true
      this.#known.clear()
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

  /**
   * `itself`: the node says so, and not another of it.
   * @returns whether some slot has another owner now
   */
  #take(node: Node, [from, to]: readonly [number, number], claimed: number, itself: boolean): boolean {
    let changed = false
    for (let slot = from; slot <= to; slot++) {
      const epoch = this.#epochs[slot] ?? 0
      const disclaimed = this.#disclaimed.size > 0 ? this.#disclaimed.get(slot) : undefined
      if (disclaimed?.node === node) {
        if (!itself && claimed <= disclaimed.epoch) continue
        this.#disclaimed.delete(slot)
      }
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

  /**
   * Slots that the node which was asked is believed to own, and says it does not: they belong to whom it names, whatever the
   * epochs (a plain SETSLOT NODE by an operator raises none). It refuses every call for them, so nothing is lost by it.
   */
  #heedDisclaimer(view: readonly NodeView[], asked: Node): boolean {
    const self = view.find(({ myself }) => myself)
    const node = self && this.#nodeOf(self, asked)
    if (!node || !this.masters().includes(node)) return false
    const claims = view.filter(({ role, failed }) => role === 'master' && !failed)
    let changed = false
    const own = new Uint8Array(SLOT_COUNT)
    for (const [from, to] of self.slots) own.fill(1, from, to + 1)
    for (let slot = 0; slot < SLOT_COUNT; slot++) {
      if (own[slot] || this.#owners[slot] !== node) continue
      const claim = claims.find(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to))
      const owner = claim && this.#nodeOf(claim, asked)
      if (!owner || owner === node) continue
      this.#disclaimed.set(slot, { node, epoch: this.#epochs[slot] ?? 0 })
      this.#owners[slot] = owner
      this.#epochs[slot] = claim.epoch
      changed = true
    }
    return changed
  }
}

/** The first of what each node in CLUSTER SLOTS is called. */
function endpointsIn(reply: unknown): string[] {
  if (!Array.isArray(reply)) return []
  return reply.flatMap((range: unknown) =>
    Array.isArray(range)
      ? range.slice(2).map((node: unknown) => String(Array.isArray(node) ? node[0] : ''))
      : [],
  )
}

function describe(replicas: ReadonlyMap<string, readonly Node[]>): string {
  return [...replicas]
    .map(([master, nodes]) => `${master} ${nodes.map((node) => node.name).sort()}`)
    .sort()
    .join()
}
