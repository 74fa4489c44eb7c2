import type { Knock } from '../../src/check/knock.js'
import type { Probed } from '../../src/check/probes.js'
import { arrange, type Ground, type Scene } from '../../src/check/scene.js'
import type { Address, NodeObservation, Observation } from '../../src/cluster/index.js'
import { type Imagined, observationOf, WHOLE } from './observations.js'

/** What is changed of a cluster on which nothing is wrong. */
export interface Changes {
  readonly nodes?: readonly Imagined[]
  /** What one node sees otherwise, by its id. */
  readonly sees?: Readonly<Record<string, readonly Imagined[]>>
  /** What all nodes say in CLUSTER INFO. Default ok. */
  readonly state?: 'ok' | 'fail'
  /** Fields of INFO that differ, by the node's id, its port, or `all`. */
  readonly info?: Readonly<Record<string, Readonly<Record<string, string | number>>>>
  /** Settings that differ, by the node's id or `all`. */
  readonly config?: Readonly<Record<string, Readonly<Record<string, string>>>>
  /** Where a node that is up answers, by its id, whatever it is listed under. */
  readonly at?: Readonly<Record<string, Address>>
  readonly probed?: Partial<Probed>
  readonly ground?: Ground
}

export const PROBED: Probed = {
  knocks: new Map(),
  clocks: new Map(),
  strays: new Map(),
  certificates: new Map(),
  restores: new Map(),
  users: new Map(),
  functions: new Map(),
  bus: new Map(),
  host: null,
  notes: [],
}

const INFO = {
  redis_version: '7.0.15',
  cluster_enabled: '1',
  used_memory: '2097152',
  used_memory_rss: '4194304',
  maxmemory: '268435456',
  maxmemory_policy: 'noeviction',
  maxclients: '10000',
  connected_clients: '5',
  aof_enabled: '1',
  aof_last_write_status: 'ok',
  aof_last_bgrewrite_status: 'ok',
  rdb_last_bgsave_status: 'ok',
}
const CONFIG = {
  requirepass: '',
  masterauth: '',
  appendonly: 'yes',
  save: '900 1',
  'cluster-require-full-coverage': 'no',
  'protected-mode': 'yes',
  'disable-thp': 'yes',
  bind: '127.0.0.1',
  dir: '/data',
}

/** Three masters with a replica each, and nothing wrong but what is changed. */
export function sceneWith(changes: Changes = {}): Scene {
  const nodes = changes.nodes ?? WHOLE
  const observation = observationOf(nodes, changes.sees)
  const idOf = (index: number) => nodes[index]?.id ?? ''
  const set = observation.nodes.map((node, index) => complete(node, idOf(index), changes))
  return sceneOf({ ...observation, nodes: set }, changes)
}

/** A scene of these addresses, at which there is this instead of a node. */
export function sceneBehind(knocks: Readonly<Record<string, Knock>>, error = new Error('no answer')): Scene {
  const nodes = Object.keys(knocks).map((name): NodeObservation => {
    const [host = '', port] = name.split(':')
    return { name, address: { host, port: Number(port) }, up: false, error }
  })
  return sceneOf({ atMs: 0, nodes }, { probed: { knocks: new Map(Object.entries(knocks)) } })
}

const sceneOf = (observation: Observation, { probed, ground }: Changes): Scene => ({
  ...arrange(observation, ground),
  probed: { ...PROBED, ...probed },
})

function complete(node: NodeObservation, id: string, changes: Changes): NodeObservation {
  if (!node.up) return node
  const { info, config, at, state = 'ok' } = changes
  const address = at?.[id] ?? node.address
  const self = node.view.find(({ myself }) => myself)
  const role =
    self?.role === 'replica'
      ? { role: 'slave', master_link_status: 'up', master_host: '127.0.0.1', master_port: '7000' }
      : { role: 'master', connected_slaves: '1' }
  const own = { ...info?.all, ...info?.[id], ...info?.[address.port] }
  return {
    ...node,
    address,
    name: `${address.host}:${address.port}`,
    info: mapOf({ ...INFO, run_id: id, ...role, ...own }),
    clusterInfo: new Map([...node.clusterInfo, ['cluster_state', state]]),
    config: mapOf({ ...CONFIG, ...config?.all, ...config?.[id] }),
  }
}

const mapOf = (fields: Readonly<Record<string, string | number>>) =>
  new Map(Object.entries(fields).map(([name, value]) => [name, String(value)]))
