import { nameOf } from '../link.js'
import type { Observation } from '../observer.js'
import { type ClusterPicture, type NodePicture, pictureOf, shardsOf } from '../picture.js'
import { ALL_SLOTS } from '../slots.js'
import { type ServerVersion, versionOf } from '../version.js'
import { witnessesOf } from '../views.js'
import type { Record } from './record.js'

/** One node, and what a rolling restart needs to know of it. */
export interface RollNode {
  readonly id: string
  readonly host: string
  readonly port: number
  /** `host:port` */
  readonly name: string
  readonly up: boolean
  readonly role: 'master' | 'replica'
  /** Another one for each process of a server; null of a node that does not answer. */
  readonly runId: string | null
  readonly server: ServerVersion | null
  /** The program that it runs, where it says so. */
  readonly executable: string | null
}

export interface RollShard {
  readonly master: RollNode
  readonly replicas: readonly RollNode[]
}

/** A cluster at one moment. */
export interface Standing {
  readonly picture: ClusterPicture
  readonly nodes: readonly RollNode[]
  /** In the order of their slots; masters without slots last. */
  readonly shards: readonly RollShard[]
}

/** @throws what the first node failed with, when none answers; WrongModeError when none is a cluster node */
export function standingOf(observation: Observation): Standing {
  const picture = pictureOf(observation)
  const infos = new Map(witnessesOf(observation).map(({ name, info }) => [name, info]))
  const node = ({ id, host, port, up, role }: NodePicture): RollNode => {
    const info = up ? infos.get(nameOf({ host, port })) : undefined
    return {
      id,
      host,
      port,
      name: nameOf({ host, port }),
      up,
      role,
      runId: info?.get('run_id') ?? null,
      server: info ? versionOf(info) : null,
      executable: info?.get('executable') ?? null,
    }
  }
  const shards = shardsOf(picture).flatMap(({ master, replicas }) =>
    master ? [{ master: node(master), replicas: replicas.map(node) }] : [],
  )
  return { picture, nodes: picture.nodes.map(node), shards }
}

/**
 * Why the next step must not be taken yet; none: it may.
 * @param record of a restart under way: the node that it was at may be down, since it is started again by going on
 */
export function obstacles({ picture, shards }: Standing, record: Pick<Record, 'at'> | null): string[] {
  const found: string[] = []
  const at = picture.nodes.find(({ id, up }) => !up && id === record?.at)
  for (const node of picture.nodes) {
    const name = nameOf(node)
    if (node.id === at?.id) continue
    if (!node.up) found.push(`${name} does not answer (${node.error})`)
    else if (node.role === 'replica' && node.replication !== 'up')
      found.push(`replica ${name} is not linked to its master`)
    const flags = node.flags.filter((flag) => flag !== 'nofailover')
    if (node.up && flags.length > 0) found.push(`${name} is seen as ${flags.join(', ')}`)
  }
  // Of a node that is away, others may think this or that; it will be heard when it is back.
  if (!at) found.push(...picture.differences.map((difference) => `views differ: ${difference}`))
  for (const { node, slot, direction } of picture.openSlots)
    found.push(`slot ${slot} is open (${direction} on ${node}): shardq cluster fix`)
  for (const { node, error } of picture.strangers) found.push(`${node} does not answer (${error})`)
  if (picture.state !== 'ok') found.push('a node says cluster_state:fail')
  if (picture.slotsAssigned < ALL_SLOTS)
    found.push(`${ALL_SLOTS - picture.slotsAssigned} slots have no owner: shardq cluster fix`)
  for (const { master, replicas } of shards)
    if (replicas.length === 0 && owns(picture, master))
      found.push(
        `${master.name} has slots and no replica, so that nobody could serve them meanwhile: give it one first ` +
          '(shardq cluster add-node), or restart that node by hand',
      )
  return found
}

export const owns = ({ nodes }: Pick<ClusterPicture, 'nodes'>, { id }: Pick<RollNode, 'id'>) =>
  nodes.some((node) => node.id === id && node.slots.length > 0)
