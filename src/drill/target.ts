import { ClusterNotReadyError } from '../cluster/errors.js'
import {
  type Address,
  type ClusterStatus,
  inspectAny,
  type LinkOptions,
  LocalCluster,
  type NodeView,
  nameOf,
} from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import { waitUntilWhole } from '../cluster/whole.js'
import { mappedIn } from '../connection/host.js'
import type { ClusterConnectionOptions } from '../connection/options.js'
import { accessOf } from '../connection/target.js'
import { InvalidOptionError } from '../errors.js'
import { ClusterNotWholeError } from './errors.js'

/** Views may differ for a while after an earlier failover: 2 s were measured at a node time-out of 5 s. */
const AGREE_MS = 5_000
/** What Redis takes where nothing is set, and what is assumed where CONFIG GET is not permitted. */
const DEFAULT_NODE_TIMEOUT_MS = 15_000

/** The shard that is struck, as it was before. */
export interface Shard {
  readonly master: NodeView
  readonly replicas: readonly NodeView[]
}

/** The cluster that the drill strikes, found to be whole. */
export interface Target {
  /** Null when its processes are not ours. */
  readonly local: LocalCluster | null
  readonly connection: ClusterConnectionOptions
  readonly access: LinkOptions
  readonly before: ClusterStatus
  readonly shard: Shard
  readonly nodeTimeoutMs: number
  /** Where we reach a node; differs from what the cluster announces where there is a natMap. */
  addressOf(node: Address): Address
}

/**
 * @throws ClusterNotWholeError, InvalidOptionError (`shard`), NodeUnreachableError, AuthenticationError, WrongModeError
 */
export async function findTarget(
  cluster: LocalCluster | ClusterConnectionOptions,
  asked: Address | undefined,
  signal: AbortSignal,
): Promise<Target> {
  const local = cluster instanceof LocalCluster ? cluster : null
  const connection = cluster instanceof LocalCluster ? cluster.connection : cluster
  // `addressOf` translates, and what is translated must not be translated again.
  const { natMap: _, ...access } = accessOf(connection)
  const addressOf = (node: Address) => mappedIn(connection.natMap ?? {}, node) ?? node
  const seen = await inspectAny(connection.nodes, access)
  const before = await whole(seen.nodes.map(addressOf), access, signal)
  const shard = chooseShard(before, asked, addressOf)
  const nodeTimeoutMs = await readNodeTimeout(addressOf(shard.master), access)
  return { local, connection, access, before, shard, nodeTimeoutMs, addressOf }
}

async function whole(
  nodes: readonly Address[],
  access: LinkOptions,
  signal: AbortSignal,
): Promise<ClusterStatus> {
  try {
    return await waitUntilWhole(nodes, access, { timeoutMs: AGREE_MS, signal })
  } catch (error) {
    if (!(error instanceof ClusterNotReadyError)) throw error
    throw new ClusterNotWholeError(error.missing, { cause: error })
  }
}

/** @throws InvalidOptionError, ClusterNotWholeError when no shard (or not the one that was asked for) has a replica */
function chooseShard(
  { nodes }: ClusterStatus,
  asked: Address | undefined,
  addressOf: Target['addressOf'],
): Shard {
  const shards = nodes
    .filter(({ role, slots }) => role === 'master' && slots.length > 0)
    .map((master) => ({ master, replicas: nodes.filter(({ masterId }) => masterId === master.id) }))
  if (asked === undefined) {
    const shard = shards.find(({ replicas }) => replicas.length > 0)
    if (!shard) throw new ClusterNotWholeError(['no master has a replica that could take its place'])
    return shard
  }
  const shard = shards.find(({ master }) =>
    [nameOf(master), nameOf(addressOf(master))].includes(nameOf(asked)),
  )
  if (!shard) {
    const names = shards.map(({ master }) => nameOf(master)).join(', ')
    throw new InvalidOptionError('shard', `${nameOf(asked)} is no master with slots; those are ${names}`)
  }
  if (shard.replicas.length === 0) {
    throw new ClusterNotWholeError([`${nameOf(shard.master)} has no replica that could take its place`])
  }
  return shard
}

async function readNodeTimeout(node: Address, access: LinkOptions): Promise<number> {
  try {
    return await withLink(node, access, async (link) => {
      const [, value] = (await link.text('CONFIG', 'GET', 'cluster-node-timeout')).split(',')
      return Number(value) || DEFAULT_NODE_TIMEOUT_MS
    })
  } catch {
    // Hosted clusters often forbid CONFIG. It only decides how long we wait, so the longest usual value will do.
    return DEFAULT_NODE_TIMEOUT_MS
  }
}
