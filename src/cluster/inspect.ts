import { InvalidOptionError, WrongModeError } from '../errors.js'
import { NodeUnreachableError } from './errors.js'
import { type Address, type LinkOptions, type NodeLink, nameOf, withLink } from './link.js'
import { type NodeView, parseClusterNodes, parseFields } from './replies.js'

/** A cluster as one of its nodes sees it. Views of different nodes may differ for a while after a change. */
export interface ClusterStatus {
  /** `ok` when this node accepts commands for every slot it knows to be served. */
  readonly state: 'ok' | 'fail'
  readonly slotsAssigned: number
  readonly slotsOk: number
  readonly knownNodes: number
  /** Masters that own at least one slot. */
  readonly size: number
  readonly currentEpoch: number
  /** Ordered by port, then host. */
  readonly nodes: readonly NodeView[]
}

/**
 * Asks one node for its view of the cluster.
 * @throws NodeUnreachableError when it does not answer within `timeoutMs` (default 1000)
 * @throws WrongModeError when it is not a cluster node
 * @throws AuthenticationError when it refuses our credentials
 */
export async function inspect(node: Address, options: LinkOptions = {}): Promise<ClusterStatus> {
  return withLink(node, options, inspectOver)
}

/** As `inspect`, of the first node that answers. @throws what the last one failed with, when none does */
export async function inspectAny(
  nodes: readonly Address[],
  options: LinkOptions = {},
): Promise<ClusterStatus> {
  let failure: unknown = new InvalidOptionError('nodes', 'expected at least one')
  for (const node of nodes) {
    try {
      return await inspect(node, options)
    } catch (error) {
      if (!(error instanceof NodeUnreachableError)) throw error
      failure = error
    }
  }
  throw failure
}

/** As `inspect`, over a link that is already open. */
export async function inspectOver(link: NodeLink): Promise<ClusterStatus> {
  const { host, port } = link.address
  try {
    const [info, nodes] = await Promise.all([link.text('CLUSTER', 'INFO'), link.text('CLUSTER', 'NODES')])
    const fields = parseFields(info)
    const count = (name: string) => Number(fields.get(name) ?? 0)
    return {
      state: fields.get('cluster_state') === 'ok' ? 'ok' : 'fail',
      slotsAssigned: count('cluster_slots_assigned'),
      slotsOk: count('cluster_slots_ok'),
      knownNodes: count('cluster_known_nodes'),
      size: count('cluster_size'),
      currentEpoch: count('cluster_current_epoch'),
      nodes: parseClusterNodes(nodes, host).sort(
        (a, b) => a.port - b.port || (a.host < b.host ? -1 : a.host > b.host ? 1 : 0),
      ),
    }
  } catch (error) {
    if (error instanceof Error && error.message.includes('cluster support disabled')) {
      throw new WrongModeError(nameOf({ host, port }), 'cluster')
    }
    throw error
  }
}
