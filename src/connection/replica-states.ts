import { parseInfo } from './info.js'
import type { Node } from './node.js'
import type { Topology } from './topology.js'

/** What INFO says of a master's replicas, as far as it is out of the ordinary. */
interface Report {
  readonly atMs: number
  /** Replicas that the cluster counts, and that are still receiving their first copy or loading it. */
  readonly syncing: ReadonlySet<Node>
  /** Attached replicas that are no nodes of the cluster: WAIT counts them too. */
  readonly foreign: number
}

/**
 * Ms that "it is still receiving its first copy" is believed. What is confirmed without that replica is in its copy, as long as
 * the copy is not complete; so what a failover could lose are the writes between the end of the copy and the end of this time.
 */
const BELIEVED_MS = 1_000
/** Ms after which a report that is out of the ordinary is asked for again, by whoever goes by it. */
const SOON_MS = 250
/** The same for one that is ordinary: a tool that attaches itself as a replica is noticed by then. */
const SELDOM_MS = 5_000
/** Least ms between two looks at the same master. */
const LEAST_MS = 100

/**
 * Which replicas are not in sync by their master's own word (INFO replication), and how many are attached that are not of the
 * cluster. Silence is never a reason to leave a replica out: one that cannot be reached may still be promoted.
 *
 * Left out is a replica that the cluster counts, and
 * - of which the master says that its copy is on the way (`state` other than `online`), or
 * - which has never acknowledged anything since it attached, and says itself that it receives or loads its copy, or
 * - which is not attached, and says itself that it loads its data: it takes no part in elections until that is done.
 */
export class ReplicaStates {
  readonly #reports = new WeakMap<Node, Report>()
  readonly #looking = new WeakMap<Node, Promise<void>>()
  /** Replicas whose masters know them by the address that the cluster knows them by: where there is NAT, they do not. */
  readonly #known = new WeakSet<Node>()

  constructor(
    private readonly topology: Topology,
    private readonly timeoutMs: number,
    private readonly onChange: () => void,
  ) {}

  /** Replicas that the cluster counts for this master, and of these the ones that are not in sync. */
  of(master: Node): { counted: readonly Node[]; syncing: readonly Node[]; foreign: number } {
    const counted = this.topology.replicasOf(master)
    const report = this.#reports.get(master)
    const ageMs = report ? performance.now() - report.atMs : Number.POSITIVE_INFINITY
    const ordinary = !report || (report.syncing.size === 0 && report.foreign === 0)
    if (ageMs > (ordinary ? SELDOM_MS : SOON_MS)) void this.look(master)
    const syncing =
      report && report.syncing.size > 0 && ageMs <= BELIEVED_MS
        ? counted.filter((replica) => report.syncing.has(replica))
        : []
    return { counted, syncing, foreign: report?.foreign ?? 0 }
  }

  /** Asks the master how its replicas are, unless that was done a moment ago. Never rejects. */
  look(master: Node): Promise<void> {
    const under = this.#looking.get(master)
    if (under) return under
    const report = this.#reports.get(master)
    if (!master.up || (report && performance.now() - report.atMs < LEAST_MS)) return Promise.resolve()
    const look = this.#look(master).finally(() => this.#looking.delete(master))
    this.#looking.set(master, look)
    return look
  }

  async #look(master: Node): Promise<void> {
    const text = await this.#info(master, 'replication')
    const before = this.#reports.get(master)
    if (text === undefined) return
    const attached = attachedTo(text)
    const counted = this.topology.replicasOf(master)
    const byNode = new Map<Node, Attached>()
    const strangers: Attached[] = []
    for (const each of attached) {
      const node = this.topology.nodeAt(each.address)
      if (node) {
        byNode.set(node, each)
        this.#known.add(node)
      } else strangers.push(each)
    }
    const syncing = new Set<Node>()
    await Promise.all(
      counted.map(async (replica) => {
        const seen = byNode.get(replica)
        if (seen && !seen.online) syncing.add(replica)
        else if (!seen?.acknowledged && (await this.#saysItIsSyncing(replica, seen !== undefined)))
          syncing.add(replica)
      }),
    )
    // Behind a stranger's address may be a replica that was never seen by its own.
    const hidden = counted.filter((replica) => !byNode.has(replica) && !this.#known.has(replica)).length
    // One that acknowledges nothing, such as a backup, satisfies no WAIT.
    const foreign = Math.max(
      0,
      strangers.filter(({ online, acknowledged }) => online && acknowledged).length - hidden,
    )
    this.#reports.set(master, { atMs: performance.now(), syncing, foreign })
    if (foreign !== (before?.foreign ?? 0) || !sameNodes(syncing, before?.syncing)) this.onChange()
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

interface Attached {
  readonly address: { readonly host: string; readonly port: number }
  readonly online: boolean
  /** It has acknowledged something since it attached. */
  readonly acknowledged: boolean
}

/** `slave0:ip=...,port=...,state=online,offset=...,lag=...` */
function attachedTo(info: string): Attached[] {
  const found: Attached[] = []
  for (const [name, value] of parseInfo(info)) {
    if (!/^slave\d+$/.test(name)) continue
    const parts = new Map(value.split(',').map((part) => part.split('=') as [string, string]))
    found.push({
      address: { host: parts.get('ip') ?? '', port: Number(parts.get('port')) },
      online: parts.get('state') === 'online',
      acknowledged: Number(parts.get('offset')) > 0,
    })
  }
  return found
}

function sameNodes(a: ReadonlySet<Node>, b: ReadonlySet<Node> = new Set()): boolean {
  return a.size === b.size && [...a].every((node) => b.has(node))
}
