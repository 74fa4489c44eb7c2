import { parseInfo } from './info.js'
import type { Node } from './node.js'
import type { NodeAddress } from './options.js'
import type { Topology } from './topology.js'

/** A replica's connection to its master, as the master sees it. */
interface Attached {
  /** undefined: no node of the cluster has this address. */
  readonly node: Node | undefined
  readonly online: boolean
  /** What it has acknowledged since it attached; 0: nothing yet. */
  readonly offset: number
}

/** What INFO says of a master's replicas. */
interface Report {
  /** When it was asked for, so it is no older than that. */
  readonly atMs: number
  readonly heardAtMs: number
  readonly attached: readonly Attached[]
  /** By address: of two connections the newer one counts. */
  readonly byNode: ReadonlyMap<Node, Attached>
  /** Attached, and their copy is on the way. */
  readonly offline: ReadonlySet<Node>
}

/** Replicas that say themselves that they receive or load their copy. */
interface Loading {
  readonly atMs: number
  readonly nodes: ReadonlySet<Node>
}

/**
 * Ms that "it is still receiving its first copy" is believed. What is confirmed without that replica is in its copy, as long as
 * the copy is not complete.
 */
const BELIEVED_MS = 1_000
/** Ms after which "it is receiving its first copy" is asked for again, by whoever goes by it. */
const SOON_MS = 250
/** Least ms between two looks at the same master. */
const LEAST_MS = 100
/** Ms that a replica which does not count is reckoned with after it was last seen: a tool that reconnects is online at once. */
const REMEMBERED_MS = 30_000

/**
 * Which replicas are not in sync by their master's own word (INFO replication), who else is attached, and what each has acknowledged.
 * Silence is never a reason to leave a replica out: one that cannot be reached may still be promoted.
 *
 * Left out is a replica that the cluster counts, and
 * - of which the master says that its copy is on the way (`state` other than `online`), or
 * - which has never acknowledged anything since it attached, and says itself that it receives or loads its copy, or
 * - which is not attached, and says itself that it loads its data: it takes no part in elections until that is done.
 */
export class ReplicaStates {
  readonly #reports = new WeakMap<Node, Report>()
  readonly #loading = new WeakMap<Node, Loading>()
  readonly #lookedAtMs = new WeakMap<Node, number>()
  readonly #looking = new WeakMap<Node, Promise<void>>()
  /** When somebody was last seen attached that may make up WAIT's number, and does not count. */
  readonly #othersAtMs = new WeakMap<Node, number>()
  /** Replicas whose masters know them by the address that the cluster knows them by: where there is NAT, they do not. */
  readonly #known = new WeakSet<Node>()

  constructor(
    private readonly topology: Topology,
    private readonly timeoutMs: number,
    private readonly onChange: () => void,
  ) {}

  /** Replicas that the cluster counts for this master, and of these the ones that are not in sync. */
  of(master: Node): { counted: readonly Node[]; syncing: readonly Node[] } {
    const counted = this.topology.replicasOf(master)
    const offline = this.#reports.get(master)?.offline.size ?? 0
    const loading = this.#loading.get(master)?.nodes.size ?? 0
    if (offline === 0 && loading === 0) return { counted, syncing: [] }
    if (performance.now() - (this.#lookedAtMs.get(master) ?? 0) > SOON_MS) void this.look(master)
    return { counted, syncing: this.syncingOf(master, counted) }
  }

  /** Of these replicas, the ones that are not in sync by what was last heard. */
  syncingOf(master: Node, replicas: readonly Node[]): Node[] {
    const nowMs = performance.now()
    const report = this.#reports.get(master)
    const loading = this.#loading.get(master)
    const reported = report && nowMs - report.heardAtMs <= BELIEVED_MS ? report : undefined
    const said = loading && nowMs - loading.atMs <= BELIEVED_MS ? loading.nodes : undefined
    return replicas.filter((replica) => {
      const seen = reported?.byNode.get(replica)
      if (seen && (!seen.online || seen.offset > 0)) return !seen.online
      return said?.has(replica) === true
    })
  }

  /**
   * Since when a report stands by which nobody but replicas that count, and are in sync, is attached: so long nobody else makes up
   * WAIT's number. -Infinity: there is none.
   */
  exclusiveAtMs(master: Node): number {
    const report = this.#reports.get(master)
    if (!report) return Number.NEGATIVE_INFINITY
    const { counted, syncing } = this.of(master)
    if (syncing.length > 0) return Number.NEGATIVE_INFINITY
    // Behind a stranger's address may be a replica that was never seen by its own.
    let hidden = counted.filter((replica) => this.#isHidden(report, replica)).length
    const isOther = ({ node, online }: Attached) => {
      if (!online) return true
      return node ? !counted.includes(node) : --hidden < 0
    }
    if (report.attached.some(isOther)) this.#othersAtMs.set(master, performance.now())
    const othersAtMs = this.#othersAtMs.get(master) ?? Number.NEGATIVE_INFINITY
    return performance.now() - othersAtMs < REMEMBERED_MS ? Number.NEGATIVE_INFINITY : report.atMs
  }

  /** So many attached replicas acknowledge what they receive, and are none of these. */
  othersThan(master: Node, replicas: readonly Node[]): number {
    return this.#others(master, replicas, 1)
  }

  /** So many of these replicas have acknowledged this offset, as of the last report. */
  acknowledged(master: Node, replicas: readonly Node[], offset: number): number {
    const report = this.#reports.get(master)
    if (!report) return 0
    const have = (seen: Attached | undefined) => seen?.online === true && seen.offset >= offset
    const seen = replicas.filter((replica) => have(report.byNode.get(replica))).length
    const hidden = replicas.filter((replica) => this.#isHidden(report, replica)).length
    if (hidden === 0) return seen
    const strangers = report.attached.filter((each) => !each.node && each.online && each.offset > 0)
    const foreign = Math.max(0, strangers.length - hidden)
    return seen + Math.max(0, strangers.filter(have).length - foreign)
  }

  /** The same of replicas that are none of these. */
  acknowledgedByOthers(master: Node, replicas: readonly Node[], offset: number): number {
    return this.#others(master, replicas, Math.max(1, offset))
  }

  /** Nodes of the cluster that are attached to this master, whomever the cluster's view lists them under. */
  membersAttachedTo(master: Node): Node[] {
    return [...(this.#reports.get(master)?.byNode.keys() ?? [])]
  }

  /**
   * Takes over what a master has just said of its replicas.
   * @param askedAtMs when it was asked
   */
  take(master: Node, info: string, askedAtMs: number): void {
    const before = this.#reports.get(master)
    const attached = attachedTo(info, (address) => this.topology.nodeAt(address))
    const byNode = new Map<Node, Attached>()
    const offline = new Set<Node>()
    for (const each of attached) if (each.node) byNode.set(each.node, each)
    for (const [node, { online }] of byNode) {
      this.#known.add(node)
      if (!online) offline.add(node)
    }
    this.#reports.set(master, {
      atMs: askedAtMs,
      heardAtMs: performance.now(),
      attached,
      byNode,
      offline,
    })
    // What is heard while a reply is being judged must not set off anything before that is done.
    if (!sameNodes(offline, before?.offline)) queueMicrotask(this.onChange)
    const isUnsure = (replica: Node) => this.#isUnsure(byNode.get(replica))
    if (this.topology.replicasOf(master).some(isUnsure)) void this.look(master)
  }

  /** Asks the master, and replicas of which it does not know, how they are, unless that was done a moment ago. Never rejects. */
  look(master: Node): Promise<void> {
    const under = this.#looking.get(master)
    if (under) return under
    const lookedAtMs = this.#lookedAtMs.get(master) ?? Number.NEGATIVE_INFINITY
    if (!master.up || performance.now() - lookedAtMs < LEAST_MS) return Promise.resolve()
    const look = this.#look(master).finally(() => {
      this.#lookedAtMs.set(master, performance.now())
      this.#looking.delete(master)
    })
    this.#looking.set(master, look)
    return look
  }

  async #look(master: Node): Promise<void> {
    const atMs = performance.now()
    const text = await this.#info(master, 'replication')
    if (text === undefined) return
    this.take(master, text, atMs)
    const byNode = this.#reports.get(master)?.byNode
    const nodes = new Set<Node>()
    await Promise.all(
      this.topology.replicasOf(master).map(async (replica) => {
        const seen = byNode?.get(replica)
        if (this.#isUnsure(seen) && (await this.#saysItIsSyncing(replica, seen !== undefined)))
          nodes.add(replica)
      }),
    )
    const before = this.#loading.get(master)?.nodes
    this.#loading.set(master, { atMs: performance.now(), nodes })
    if (!sameNodes(nodes, before)) this.onChange()
  }

  /** Whether it is in sync is for the replica itself to say. */
  #isUnsure(seen: Attached | undefined): boolean {
    return !seen || (seen.online && seen.offset === 0)
  }

  #isHidden(report: Report, replica: Node): boolean {
    return !report.byNode.has(replica) && !this.#known.has(replica)
  }

  #others(master: Node, replicas: readonly Node[], offset: number): number {
    const report = this.#reports.get(master)
    if (!report) return 0
    const have = report.attached.filter((each) => each.online && each.offset >= offset)
    const members = have.filter(({ node }) => node && !replicas.includes(node)).length
    const strangers = have.filter(({ node }) => !node).length
    const hidden = replicas.filter((replica) => this.#isHidden(report, replica)).length
    return members + Math.max(0, strangers - hidden)
  }

  async #saysItIsSyncing(replica: Node, attached: boolean): Promise<boolean> {
    const fields = parseInfo((await this.#info(replica, 'persistence', 'replication')) ?? '')
    return fields.get('loading') === '1' || (attached && fields.get('master_sync_in_progress') === '1')
  }

  /** undefined: it does not answer, or will not say. */
  async #info(node: Node, ...sections: string[]): Promise<string | undefined> {
    if (!node.up) return undefined
    const questions = sections.map((section) => ['INFO', section] as const)
    const outcome = await node.send('probe', 3, questions, this.timeoutMs)
    const replies = outcome.ok ? outcome.replies : []
    return replies.length > 0 && replies.every((reply) => typeof reply === 'string')
      ? replies.join('\r\n')
      : undefined
  }
}

/** `slave0:ip=...,port=...,state=online,offset=...,lag=...` */
function attachedTo(info: string, nodeAt: (address: NodeAddress) => Node | undefined): Attached[] {
  const found: Attached[] = []
  for (const [name, value] of parseInfo(info)) {
    if (!/^slave\d+$/.test(name)) continue
    const parts = new Map(value.split(',').map((part) => part.split('=') as [string, string]))
    found.push({
      node: nodeAt({ host: parts.get('ip') ?? '', port: Number(parts.get('port')) }),
      online: parts.get('state') === 'online',
      offset: Number(parts.get('offset')) || 0,
    })
  }
  return found
}

function sameNodes(a: ReadonlySet<Node>, b: ReadonlySet<Node> = new Set()): boolean {
  return a.size === b.size && [...a].every((node) => b.has(node))
}
