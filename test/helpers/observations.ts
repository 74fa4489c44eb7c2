import type { NodeObservation, Observation } from '../../src/cluster/index.js'
import { parseClusterNodes, parseFields } from '../../src/cluster/replies.js'

/** A node of an imagined cluster, as it says it of itself. */
export interface Imagined {
  readonly id: string
  readonly port: number
  /** Slots and open slots as CLUSTER NODES has them: `0-5460 [93->-b]`. */
  readonly slots?: string
  /** Id of its master; a replica then. */
  readonly follows?: string
  readonly down?: boolean
  readonly flags?: string
  /** Default `connected`. */
  readonly link?: string
  readonly info?: string
}

/** All nodes see the same, but for what `sees` replaces in the view of one. */
export function observationOf(
  nodes: readonly Imagined[],
  sees: Readonly<Record<string, readonly Imagined[]>> = {},
): Observation {
  return { atMs: 0, nodes: nodes.map((node) => observe(node, sees[node.id] ?? nodes)) }
}

function observe(node: Imagined, seen: readonly Imagined[]): NodeObservation {
  const address = { host: '127.0.0.1', port: node.port }
  const name = `127.0.0.1:${node.port}`
  if (node.down) return { name, address, up: false, error: new Error('connect ECONNREFUSED') }
  const text = seen.map((each) => line(each, each.id === node.id)).join('\n')
  return {
    name,
    address,
    up: true,
    answeredInMs: 1,
    info: parseFields((node.info ?? '').replaceAll(' ', '\n')),
    clusterInfo: parseFields(
      `cluster_state:ok\ncluster_slots_assigned:16384\ncluster_slots_ok:16384\ncluster_known_nodes:${seen.length}\ncluster_size:3\ncluster_current_epoch:6`,
    ),
    view: parseClusterNodes(text, '127.0.0.1'),
    config: undefined,
  }
}

/** Open slots are said by a node of itself only. */
function line(
  { id, port, slots = '', follows = '-', flags = '', link = 'connected' }: Imagined,
  myself: boolean,
): string {
  const all = [myself ? 'myself' : '', follows === '-' ? 'master' : 'slave', flags].filter(
    (flag) => flag !== '',
  )
  const seen = myself ? slots : slots.replaceAll(/\[\S+\]/g, '')
  return `${id} 127.0.0.1:${port}@1${port} ${all.join()} ${follows} 0 0 1 ${link} ${seen}`.trim()
}

/** Three masters with a replica each, whole and sound. */
export const WHOLE: readonly Imagined[] = [
  {
    id: 'a',
    port: 7000,
    slots: '0-5460',
    info: 'master_repl_offset:900 slave0:ip=127.0.0.1,port=7003,state=online,offset=860,lag=1 used_memory:2097152 maxmemory:104857600 connected_clients:5 instantaneous_ops_per_sec:120',
  },
  { id: 'b', port: 7001, slots: '5461-10922', info: 'master_repl_offset:1' },
  { id: 'c', port: 7002, slots: '10923-16383', info: 'master_repl_offset:1' },
  { id: 'ra', port: 7003, follows: 'a', info: 'master_link_status:up' },
  { id: 'rb', port: 7004, follows: 'b', info: 'master_link_status:down master_link_down_since_seconds:34' },
  { id: 'rc', port: 7005, follows: 'c', info: 'master_link_status:up' },
]

/** The same with other properties for one node. */
export function withNode(nodes: readonly Imagined[], id: string, change: Partial<Imagined>): Imagined[] {
  return nodes.map((node) => (node.id === id ? { ...node, ...change } : node))
}
