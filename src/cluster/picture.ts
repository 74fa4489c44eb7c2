import type { ClusterStatus } from './inspect.js'
import { nameOf } from './link.js'
import type { NodeObservation, Observation } from './observer.js'
import { type NodeView, parseFields } from './replies.js'
import { type OpenSlot, parseOpenSlots } from './slots.js'
import { campsOf, differencesOf, noWitness, selfOf, type Witness, witnessesOf } from './views.js'

/** A node as the others see it, and what it says of itself; `null` is what nobody could tell. */
export interface NodePicture extends NodeView {
  /** Whether it answered us in time. */
  readonly up: boolean
  /** Why it did not. */
  readonly error: string | null
  readonly answeredInMs: number | null
  readonly memoryUsedBytes: number | null
  /** `maxmemory`; null where there is none. */
  readonly memoryLimitBytes: number | null
  readonly clients: number | null
  /** Commands in the last second, the server's own figure. */
  readonly opsPerSecond: number | null
  /** Of a replica: bytes of its master's log that it has not acknowledged, as the master says. */
  readonly lagBytes: number | null
  /** Of a replica: seconds since it acknowledged anything, as the master says; without a link, since it was lost. */
  readonly lagSeconds: number | null
  /** Of a replica: whether it is linked to its master, as it says itself. */
  readonly replication: 'up' | 'down' | null
}

/** A cluster as all of its nodes see it; where they differ, `differences` says so. */
export interface ClusterPicture extends ClusterStatus {
  /** Ms since 1970. */
  readonly atMs: number
  readonly nodes: readonly NodePicture[]
  /** Whose view the fields of `ClusterStatus` are: the node that was named, or one of the largest number that agree. */
  readonly seenBy: string
  /** How many nodes answered. */
  readonly answered: number
  readonly differences: readonly string[]
  readonly openSlots: readonly (OpenSlot & { readonly node: string })[]
  /** Seeds that the cluster does not know and that did not answer either. */
  readonly strangers: readonly { readonly node: string; readonly error: string }[]
}

/**
 * Puts together what the nodes say. `state` is `fail` as soon as one of those that answer says so.
 * @param from id of the node whose view counts, whatever the others see
 * @throws what the first node failed with, when none answers; WrongModeError when none is a cluster node
 */
export function pictureOf(observation: Observation, from?: string): ClusterPicture {
  const witnesses = witnessesOf(observation)
  const camps = campsOf(observation)
  const witness =
    from === undefined
      ? witnesses.find(({ name }) => name === camps[0]?.nodes[0])
      : witnesses.find((each) => selfOf(each)?.id === from)
  if (!witness) throw noWitness(observation)
  const nodes = witness.view.map((view) => nodePicture(view, observation.nodes, witnesses))
  const known = new Set(witness.view.map(nameOf))
  const count = (name: string) => Number(witness.clusterInfo.get(name) ?? 0)
  return {
    atMs: observation.atMs,
    state: (from === undefined ? witnesses : [witness]).every(isOk) ? 'ok' : 'fail',
    slotsAssigned: count('cluster_slots_assigned'),
    slotsOk: count('cluster_slots_ok'),
    knownNodes: count('cluster_known_nodes'),
    size: count('cluster_size'),
    currentEpoch: count('cluster_current_epoch'),
    nodes: nodes.sort((a, b) => a.port - b.port || (a.host < b.host ? -1 : 1)),
    seenBy: witness.name,
    answered: nodes.filter(({ up }) => up).length,
    differences: differencesOf(camps),
    openSlots: witnesses.flatMap((each) =>
      parseOpenSlots(selfOf(each)?.openSlots ?? []).map((open) => ({ ...open, node: each.name })),
    ),
    strangers: observation.nodes.flatMap((node) =>
      node.up || known.has(node.name) ? [] : [{ node: node.name, error: node.error.message }],
    ),
  }
}

const isOk = ({ clusterInfo }: Witness) => clusterInfo.get('cluster_state') === 'ok'

function nodePicture(
  view: NodeView,
  nodes: readonly NodeObservation[],
  witnesses: readonly Witness[],
): NodePicture {
  const name = nameOf(view)
  const found = nodes.find((node) => node.name === name)
  const info = found?.up ? found.info : new Map<string, string>()
  const number = (field: string) => (info.has(field) ? Number(info.get(field)) : null)
  const link = info.get('master_link_status')
  return {
    ...view,
    up: found?.up === true,
    error: found?.up === true ? null : (found?.error.message ?? 'its address is not known yet'),
    answeredInMs: found?.up ? found.answeredInMs : null,
    memoryUsedBytes: number('used_memory'),
    memoryLimitBytes: number('maxmemory') || null,
    clients: number('connected_clients'),
    opsPerSecond: number('instantaneous_ops_per_sec'),
    replication: link === undefined ? null : link === 'up' ? 'up' : 'down',
    ...(view.role === 'replica' ? lagOf(view, info, witnesses) : { lagBytes: null, lagSeconds: null }),
  }
}

/** The master's word counts: of what it has not heard acknowledged, a failover may lose. */
function lagOf(
  replica: NodeView,
  info: ReadonlyMap<string, string>,
  witnesses: readonly Witness[],
): Pick<NodePicture, 'lagBytes' | 'lagSeconds'> {
  const master = witnesses.find((each) => selfOf(each)?.id === replica.masterId)
  const offset = Number(master?.info.get('master_repl_offset'))
  for (const [field, value] of master?.info ?? []) {
    if (!/^slave\d+$/.test(field)) continue
    // ip=127.0.0.1,port=7003,state=online,offset=1234,lag=0
    const parts = parseFields(value.replaceAll('=', ':').replaceAll(',', '\n'))
    if (parts.get('ip') !== replica.host || Number(parts.get('port')) !== replica.port) continue
    if (parts.get('state') !== 'online') break
    return {
      lagBytes: Math.max(0, offset - Number(parts.get('offset'))),
      lagSeconds: Number(parts.get('lag')),
    }
  }
  const down = info.get('master_link_down_since_seconds')
  // -1 until the first link.
  return { lagBytes: null, lagSeconds: down === undefined || Number(down) < 0 ? null : Number(down) }
}

/** A master and the replicas that follow it. `master` is null above replicas whose master nobody lists. */
export interface ShardPicture {
  readonly master: NodePicture | null
  readonly replicas: readonly NodePicture[]
}

/** In the order of their slots; masters without slots after those that have some, orphaned replicas last. */
export function shardsOf({ nodes }: Pick<ClusterPicture, 'nodes'>): ShardPicture[] {
  const first = ({ slots }: NodePicture) => slots[0]?.[0] ?? Number.MAX_SAFE_INTEGER
  const masters = nodes.filter(({ role }) => role === 'master').sort((a, b) => first(a) - first(b))
  const shards: ShardPicture[] = masters.map((master) => ({
    master,
    replicas: nodes.filter(({ masterId }) => masterId === master.id),
  }))
  const orphans = nodes.filter(
    ({ role, masterId }) => role === 'replica' && !masters.some(({ id }) => id === masterId),
  )
  return orphans.length === 0 ? shards : [...shards, { master: null, replicas: orphans }]
}
