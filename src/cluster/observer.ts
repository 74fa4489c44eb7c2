import { NodeUnreachableError, OperationLostError } from './errors.js'
import { type Address, DEFAULT_TIMEOUT_MS, type LinkOptions, NodeLink, nameOf } from './link.js'
import { type NodeView, parseClusterNodes, parseFields } from './replies.js'
import { settingsOf } from './settings-read.js'

/** What one node said when it was asked, or why it said nothing. */
export type NodeObservation =
  | {
      readonly name: string
      readonly address: Address
      readonly up: true
      /** From the question to the last answer, in ms. */
      readonly answeredInMs: number
      /** INFO everything. */
      readonly info: ReadonlyMap<string, string>
      /** CLUSTER INFO; empty where the server is no cluster node. */
      readonly clusterInfo: ReadonlyMap<string, string>
      /** CLUSTER NODES, as this node sees it; empty where the server is no cluster node. */
      readonly view: readonly NodeView[]
      /** CONFIG GET *; undefined where we are not allowed to ask. */
      readonly config: ReadonlyMap<string, string> | undefined
    }
  | { readonly name: string; readonly address: Address; readonly up: false; readonly error: Error }

/** Every node of a cluster at about one moment, ordered by port, then host. */
export interface Observation {
  /** Ms since 1970, when all had answered. */
  readonly atMs: number
  readonly nodes: readonly NodeObservation[]
}

export interface ObserverOptions extends LinkOptions {
  /** Ask for the settings too (CONFIG GET *). Default false: they are large, and seldom change. */
  readonly config?: boolean
}

/** A node whose address is not known yet, or that is only being introduced, cannot be asked. */
const NOT_TO_BE_ASKED = ['noaddr', 'handshake']

/**
 * Asks all nodes of a cluster, found from any of the seeds, for what they know; again and again over the same links. Nodes
 * that join are found by the views of the others, and nodes that all others have forgotten are left out, unless they are seeds.
 * One that does not answer costs `timeoutMs` (default 1,000) in all, the others meanwhile answer.
 */
export class Observer {
  readonly #links = new Map<string, Promise<NodeLink>>()
  #known: readonly Address[]
  #seeds: readonly Address[]

  constructor(
    seeds: readonly Address[],
    private readonly options: ObserverOptions = {},
  ) {
    // Each once: of two links to one node, the first would be forgotten, and stay open.
    this.#seeds = [...new Map(seeds.map((seed) => [nameOf(seed), seed])).values()]
    this.#known = this.#seeds
  }

  /** Never throws for what a node does: that is what is to be observed. One call at a time. */
  async observe(): Promise<Observation> {
    const found = new Map<string, NodeObservation>()
    let asked: readonly Address[] = this.#known
    // Who is found by asking is asked too; each of them only once, so this ends.
    while (asked.length > 0) {
      for (const node of await Promise.all(asked.map((address) => this.#ask(address))))
        found.set(node.name, node)
      asked = listedBy([...found.values()]).filter((address) => !found.has(nameOf(address)))
    }
    const listed = new Set(listedBy([...found.values()]).map(nameOf))
    this.#seeds = this.#seeds.map((seed) => this.#asListed(seed, found, listed))
    const wanted = new Set([...this.#seeds.map(nameOf), ...listed])
    const nodes = [...found.values()]
      // Where no node answers, nobody has forgotten anybody.
      .filter(({ name }) => listed.size === 0 || wanted.has(name))
      .sort((a, b) => a.address.port - b.address.port || (a.address.host < b.address.host ? -1 : 1))
    this.#known = nodes.map(({ address }) => address)
    return { atMs: Date.now(), nodes }
  }

  close(): void {
    for (const name of this.#links.keys()) this.#hangUp(name)
  }

  /** A seed may be called otherwise than the cluster calls it, `localhost` for instance, and is not to be there twice. */
  #asListed(seed: Address, found: Map<string, NodeObservation>, listed: ReadonlySet<string>): Address {
    const name = nameOf(seed)
    const run = runOf(found.get(name))
    if (run === undefined || listed.has(name)) return seed
    const same = [...found.values()].find((node) => listed.has(node.name) && runOf(node) === run)
    if (!same) return seed
    found.delete(name)
    this.#hangUp(name)
    return same.address
  }

  /** The deadline is for all questions together: a frozen node takes the connection, and is then silent to one after the other. */
  async #ask(address: Address): Promise<NodeObservation> {
    const name = nameOf(address)
    const timeoutMs = this.options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_, reject) => {
      const cause = new Error(`silent for ${timeoutMs} ms`)
      // What has arrived while this process was busy is read first.
      timer = setTimeout(() => setImmediate(reject, new NodeUnreachableError(name, { cause })), timeoutMs)
    })
    try {
      return await Promise.race([this.#answerOf(name, address), deadline])
    } catch (error) {
      this.#hangUp(name)
      // We may not ask any more: that says nothing of the node.
      if (error instanceof OperationLostError) throw error
      return { name, address, up: false, error: error as Error }
    } finally {
      clearTimeout(timer)
    }
  }

  async #answerOf(name: string, address: Address): Promise<NodeObservation> {
    const startedMs = performance.now()
    let opening = this.#links.get(name)
    if (!opening) {
      opening = NodeLink.open(address, this.options)
      this.#links.set(name, opening)
    }
    const link = await opening
    const [info, clusterInfo, nodes, config] = await Promise.all([
      link.text('INFO', 'everything'),
      unlessNoCluster(link.text('CLUSTER', 'INFO')),
      unlessNoCluster(link.text('CLUSTER', 'NODES')),
      this.options.config ? settingsOf(link) : undefined,
    ])
    return {
      name,
      address,
      up: true,
      answeredInMs: performance.now() - startedMs,
      info: parseFields(info),
      clusterInfo: parseFields(clusterInfo),
      view: parseClusterNodes(nodes, address.host),
      config,
    }
  }

  #hangUp(name: string): void {
    const opening = this.#links.get(name)
    this.#links.delete(name)
    // Why it did not open, if it did not, is what the node was reported with.
    void opening?.then(
      (link) => link.close(),
      () => undefined,
    )
  }
}

/** One look, for those who need no more. @throws as `Observer.observe` */
export async function observe(
  seeds: readonly Address[],
  options: ObserverOptions = {},
): Promise<Observation> {
  const observer = new Observer(seeds, options)
  try {
    return await observer.observe()
  } finally {
    observer.close()
  }
}

/** Another one for each process: two servers may have the same node id, where one was started on a copy of nodes.conf. */
const runOf = (node: NodeObservation | undefined) => (node?.up ? node.info.get('run_id') : undefined)

/** Addresses that the nodes which answer list of others: one that was removed lists itself for ever. */
function listedBy(nodes: readonly NodeObservation[]): Address[] {
  const byName = new Map<string, Address>()
  for (const node of nodes) {
    if (!node.up) continue
    for (const { host, port, flags, myself } of node.view)
      if (!myself && !flags.some((flag) => NOT_TO_BE_ASKED.includes(flag)))
        byName.set(nameOf({ host, port }), { host, port })
  }
  return [...byName.values()]
}

async function unlessNoCluster(reply: Promise<string>): Promise<string> {
  try {
    return await reply
  } catch (error) {
    if ((error as Error).message.includes('cluster support disabled')) return ''
    throw error
  }
}
