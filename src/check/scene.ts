import { nameOf } from '../cluster/link.js'
import type { NodeObservation, Observation } from '../cluster/observer.js'
import type { NodeView } from '../cluster/replies.js'
import { selfOf, witnessesOf } from '../cluster/views.js'
import { addressFrom } from '../connection/host.js'
import type { Place } from './check.js'
import { onHost } from './commands.js'
import type { Probed } from './probes.js'

/** A node that answers, under the name by which it was asked. */
export type Live = Extract<NodeObservation, { up: true }>

/** A node that answers and is one of a cluster. */
export interface ClusterNode extends Live {
  /** What it says of itself. */
  readonly self: NodeView
}

export type Silent = Extract<NodeObservation, { up: false }>

/** A node of the cluster, whether it answers or not. */
export interface Member {
  readonly id: string
  /** The address at which it answers, else that under which the others list it. */
  readonly name: string
  /** By its own account, else by the newest that the others have. */
  readonly line: NodeView
  readonly live: ClusterNode | undefined
  /** Nodes that have it as failed (`fail`, `fail?`) or have no link to it, although they answer us. */
  readonly missedBy: readonly string[]
}

/** Where the cluster lies, as far as it changes what has to be typed. */
export interface Ground {
  readonly expected?: 'cluster' | 'single' | undefined
  /** What is wrong with the configuration; nothing else can be looked at then. */
  readonly configFaults?: readonly { readonly path: string; readonly message: string }[]
  /** The command that starts nodes of this machine again, where `shardq cluster up` has made them. */
  readonly startLocal?: string | undefined
  /** The pids of local nodes, by port, as far as they are known to be ours and alive. */
  readonly pids?: ReadonlyMap<number, number>
}

/** What was observed, in the order in which checks ask for it. */
export interface Sight {
  readonly ground: Ground
  readonly observation: Observation
  /** One for each process, whatever number of addresses leads to it. */
  readonly live: readonly Live[]
  readonly cluster: readonly ClusterNode[]
  readonly silent: readonly Silent[]
  /** Nodes that answer here, and are listed under an address that does not: by themselves, or by others alone. */
  readonly elsewhere: readonly {
    readonly node: ClusterNode
    readonly listed: Silent
    readonly by: 'itself' | 'others'
  }[]
  readonly members: readonly Member[]
}

export interface Scene extends Sight {
  readonly probed: Probed
}

export function arrange(observation: Observation, ground: Ground = {}): Sight {
  const { nodes } = observation
  const cluster = witnessesOf(observation).flatMap((node) => {
    const self = selfOf(node)
    return self ? [{ ...node, self }] : []
  })
  const live = [...cluster, ...nodes.filter((node) => node.up && node.view.length === 0)] as Live[]
  const down = nodes.filter((node) => !node.up)
  const elsewhere = cluster.flatMap((node): Sight['elsewhere'][number][] => {
    const own = down.find(({ name }) => name === nameOf(node.self))
    if (own) return [{ node, listed: own, by: 'itself' }]
    const names = cluster.flatMap(({ view }) =>
      view.filter(({ id, myself }) => id === node.self.id && !myself).map(nameOf),
    )
    const other = down.find(({ name }) => names.includes(name))
    return other ? [{ node, listed: other, by: 'others' }] : []
  })
  const silent = down.filter((node) => !elsewhere.some(({ listed }) => listed === node))
  return { ground, observation, live, cluster, silent, elsewhere, members: membersOf(cluster) }
}

/** Nodes that are only being introduced are no members yet. */
export const isJoined = ({ flags }: NodeView) => !flags.includes('handshake')

const isMissed = ({ flags, linkState }: NodeView) =>
  linkState === 'disconnected' || flags.some((flag) => flag === 'fail' || flag === 'fail?')

function membersOf(cluster: readonly ClusterNode[]): Member[] {
  const lines = new Map<string, { by: string; line: NodeView }[]>()
  for (const { name, view } of cluster) {
    for (const line of view.filter(isJoined))
      lines.set(line.id, [...(lines.get(line.id) ?? []), { by: name, line }])
  }
  return [...lines].flatMap(([id, all]) => {
    const live = cluster.find(({ self }) => self.id === id)
    const [newest] = all.map(({ line }) => line).sort((a, b) => b.configEpoch - a.configEpoch)
    const line = live?.self ?? newest
    if (!line) return []
    const missedBy = all.filter((each) => !each.line.myself && isMissed(each.line)).map(({ by }) => by)
    return [{ id, name: live?.name ?? nameOf(line), line, live, missedBy }]
  })
}

/** Where it answers; a node may announce what it likes. */
export const hostOf = ({ live, line }: Member) => live?.address.host ?? line.host

/** Masters that serve slots, by what is known of each. */
export const shardsOf = ({ members }: Sight) =>
  members.filter(({ line }) => line.role === 'master' && line.slots.length > 0)

export const isReplica = (node: Live) => node.info.get('role') === 'slave'

/** Nodes that may take writes: all but replicas. */
export const mastersOf = ({ live }: Sight) => live.filter((node) => !isReplica(node))

export function numberOf(node: Live, field: string): number {
  return Number(node.info.get(field) ?? 0)
}

/** A node of the scene as commands name it. */
export function placeOf(name: string, sight: Sight): Place {
  const node = [...sight.live, ...sight.silent].find((each) => each.name === name)
  const line = sight.members.find((each) => each.name === name)?.line
  const address = node?.address ?? addressFrom(name) ?? { host: '', port: 0 }
  const { startLocal, pids } = sight.ground
  const pid = pids?.get(address.port)
  return {
    ...address,
    busPort: line?.busPort ?? address.port + 10_000,
    cluster: line !== undefined,
    tls: node?.up === true && node.config?.get('tls-port') === String(address.port),
    start: startLocal ?? onHost(address.host, 'sudo systemctl restart redis-server'),
    resume:
      pid === undefined ? onHost(address.host, 'kill -CONT $(pidof redis-server)') : `kill -CONT ${pid}`,
  }
}

/** In place of a node, where a command is shown rather than given. */
export const SOME_NODE: Place = {
  host: 'HOST',
  port: 'PORT',
  busPort: 'BUSPORT',
  cluster: false,
  tls: false,
  start: 'shardq cluster up',
  resume: 'kill -CONT PID',
}
