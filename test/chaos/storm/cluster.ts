import { setTimeout as sleep } from 'node:timers/promises'
import { NodeUnreachableError } from '../../../src/cluster/errors.js'
import { type Address, type ClusterStatus, inspect, type NodeView } from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'

/** A cluster that may be harmed. Nodes are named by their address, `host:port`. */
export interface StormCluster {
  readonly seeds: readonly Address[]
  kill(node: string): Promise<void>
  freeze(node: string): Promise<void>
  resume(node: string): Promise<void>
  /** Starts a node that was killed; does nothing to one that runs. */
  restart(node: string): Promise<void>
  /** All nodes run, agree and take writes that their replicas confirm. */
  whole(timeoutMs: number): Promise<void>
  /** Takes a node's host off the network, without a word to anybody, and puts it back. Only in namespaces. */
  readonly network?: {
    cut(node: string): Promise<void>
    mend(node: string): Promise<void>
    /** These nodes reach each other and nobody else; `join` puts them back. */
    split(nodes: readonly string[]): Promise<void>
    join(): Promise<void>
    /** What the node says to another one vanishes; it goes on hearing it. */
    mute(node: string, to: string): Promise<void>
    unmute(node: string, to: string): Promise<void>
    /** The command that runs another one on the node's host. */
    inside(node: string): readonly string[]
  }
  /** `keep`: leaves the nodes' files, where that is possible, and says where they are. */
  dispose(keep?: boolean): Promise<string | undefined>
}

export const nameOf = ({ host, port }: Address) => `${host}:${port}`

export function addressOf(name: string): Address {
  const colon = name.lastIndexOf(':')
  return { host: name.slice(0, colon), port: Number(name.slice(colon + 1)) }
}

export interface Shard {
  readonly master: NodeView
  /** The first of them. */
  readonly replica: NodeView
  readonly replicas: readonly NodeView[]
}

/** The cluster as the first node that answers sees it. */
export async function statusOf(
  cluster: StormCluster,
  except: readonly string[] = [],
): Promise<ClusterStatus> {
  let failure: unknown
  for (const seed of cluster.seeds) {
    if (except.includes(nameOf(seed))) continue
    try {
      return await inspect(seed)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** Masters with slots and replicas, in the order of their slots; without one that another fault has left alone for the moment. */
export async function shardsOf(cluster: StormCluster): Promise<Shard[]> {
  const { nodes } = await statusOf(cluster)
  return nodes
    .filter((node) => node.role === 'master' && node.slots.length > 0)
    .sort((a, b) => (a.slots[0]?.[0] ?? 0) - (b.slots[0]?.[0] ?? 0))
    .flatMap((master) => {
      const replicas = nodes.filter((node) => node.masterId === master.id)
      const [replica] = replicas
      return replica ? [{ master, replica, replicas }] : []
    })
}

/** Ms for which a node is tried that another fault has cut off for the moment. */
const REACH_MS = 15_000

/** Another fault does that to the node for the moment. */
function passes(error: unknown): boolean {
  if (error instanceof NodeUnreachableError) return true
  // MIGRATE tells what its target has said.
  const words =
    error instanceof Error ? error.message.replace('ERR Target instance replied with error: ', '') : ''
  return /^(BUSY|LOADING|IOERR|OOM|CLUSTERDOWN) /.test(words)
}

async function whileItPasses<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + REACH_MS
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!passes(error) || performance.now() > deadline) throw error
      await sleep(50)
    }
  }
}

const linkTo = (node: Address) => NodeLink.open(node, { timeoutMs: 3_000 })

/** A link to a node, as soon as it can be reached. */
export const reach = (node: Address): Promise<NodeLink> => whileItPasses(() => linkTo(node))

/** One that does no harm if it is carried out twice: it is sent again where no reply comes, as long as the node can be reached. */
export function command(node: string, ...words: [string, ...(string | number)[]]): Promise<string> {
  const [name, ...args] = words
  return whileItPasses(async () => {
    const link = await linkTo(addressOf(node))
    try {
      return await link.text(name, ...args)
    } finally {
      link.close()
    }
  })
}

const OURS = [TypeError, RangeError, ReferenceError, SyntaxError]

export async function until(what: string, timeoutMs: number, test: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + timeoutMs
  let failure: unknown
  for (;;) {
    try {
      if (await test()) return
      failure = undefined
    } catch (error) {
      // A mistake of ours does not pass with time.
      if (OURS.some((kind) => error instanceof kind)) throw error
      failure = error
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: failure })
    await sleep(20)
  }
}

/** Waits until one of the replicas says of itself that it is a master with slots. */
export async function promoted({ replicas }: Shard, timeoutMs = 20_000): Promise<void> {
  await Promise.any(
    replicas.map((replica) =>
      until(`${nameOf(replica)} is promoted`, timeoutMs, async () => {
        const { nodes } = await inspect(replica)
        return nodes.some((node) => node.myself && node.role === 'master' && node.slots.length > 0)
      }),
    ),
  )
}
