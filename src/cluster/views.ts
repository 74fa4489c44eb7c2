import { WrongModeError } from '../errors.js'
import { nameOf } from './link.js'
import type { NodeObservation, Observation } from './observer.js'
import type { NodeView } from './replies.js'
import { rangesOf, rangeText, slotsIn } from './slots.js'

/** A node that answered, and is one of a cluster. */
export type Witness = Extract<NodeObservation, { up: true }>

/** One for each process: it may have been asked by several names, and prefers the one by which it goes. */
export function witnessesOf({ nodes }: Observation): Witness[] {
  const byRun = new Map<string, Witness>()
  for (const node of nodes) {
    if (!node.up || node.view.length === 0) continue
    const run = node.info.get('run_id') ?? node.name
    const self = selfOf(node)
    if (!byRun.has(run) || (self && nameOf(self) === node.name)) byRun.set(run, node)
  }
  return [...byRun.values()]
}

/** Why there is none: what the first that did not answer failed with, or that the first is no cluster node. */
export function noWitness({ nodes }: Observation): Error {
  const asked = nodes.find(({ up }) => !up) ?? nodes[0]
  return asked && !asked.up ? asked.error : new WrongModeError(asked?.name ?? '?', 'cluster')
}

/** What a node says of itself. */
export function selfOf({ view }: Witness): NodeView | undefined {
  return view.find(({ myself }) => myself)
}

/** How a node is called that may have no address, as one that was reset: a `:0` would be taken for one. */
export const calledBy = (node: NodeView) =>
  node.flags.includes('noaddr') ? `node ${node.id.slice(0, 8)}… without an address` : nameOf(node)

/** What all nodes must agree on (who there is, roles, slots), in a form that can be compared. */
export function summaryOf(view: readonly NodeView[]): string {
  const line = ({ id, role, masterId, slots }: NodeView) => [id, role, masterId, slots.join(' ')].join('|')
  return view.map(line).sort().join('\n')
}

/**
 * Without the nodes that are nowhere any more: without an address, since they were reset, and without slots. They cannot hear of
 * anything, nobody tells a newcomer of them, and so who joins would differ from all others for ever.
 */
export function withoutGone(observation: Observation): Observation {
  const alive = new Set(witnessesOf(observation).map((witness) => selfOf(witness)?.id))
  const isGone = ({ id, flags, slots }: NodeView) =>
    flags.includes('noaddr') && slots.length === 0 && !alive.has(id)
  const nodes = observation.nodes.map((node) =>
    node.up ? { ...node, view: node.view.filter((line) => !isGone(line)) } : node,
  )
  return { ...observation, nodes }
}

/**
 * Without slots that others take for a node's which answers and does not say so itself: what a move or a repair leaves that was cut off
 * between two round trips. They are nobody's, whoever is named, and pass by no gossip; who the nodes are, all agree all the same.
 */
export function withoutHearsay(observation: Observation): Observation {
  const own = new Map(
    witnessesOf(observation).map((witness) => {
      const self = selfOf(witness)
      return [self?.id ?? '', new Set(slotsIn(self?.slots ?? []))]
    }),
  )
  const asItSays = (line: NodeView): NodeView => {
    const said = own.get(line.id)
    const slots = slotsIn(line.slots)
    if (!said || slots.every((slot) => said.has(slot))) return line
    return { ...line, slots: rangesOf(slots.filter((slot) => said.has(slot))) }
  }
  const nodes = observation.nodes.map((node) => (node.up ? { ...node, view: node.view.map(asItSays) } : node))
  return { ...observation, nodes }
}

/** Who is only being introduced has an id that its introducer made up; it belongs to nobody's view yet. */
const members = (view: readonly NodeView[]) => view.filter(({ flags }) => !flags.includes('handshake'))

/** Nodes that see the same, the most numerous first; of equals, those that know of the later election. */
export interface Camp {
  readonly nodes: readonly string[]
  readonly view: readonly NodeView[]
  readonly epoch: number
}

export function campsOf(observation: Observation): Camp[] {
  const camps = new Map<string, { nodes: string[]; view: readonly NodeView[]; epoch: number }>()
  for (const witness of witnessesOf(observation)) {
    const view = members(witness.view)
    const summary = summaryOf(view)
    const epoch = Number(witness.clusterInfo.get('cluster_current_epoch') ?? 0)
    const camp = camps.get(summary)
    if (camp) camp.nodes.push(witness.name)
    else camps.set(summary, { nodes: [witness.name], view, epoch })
  }
  return [...camps.values()].sort((a, b) => b.nodes.length - a.nodes.length || b.epoch - a.epoch)
}

/** Where views differ from that of the largest camp, one sentence for each node that is seen otherwise. None: all agree. */
export function differencesOf([first, ...others]: readonly Camp[]): string[] {
  if (!first) return []
  return others.flatMap(({ nodes, view }) => {
    const ids = new Set([...first.view, ...view].map(({ id }) => id))
    return [...ids].flatMap((id) => {
      const ours = describe(find(first.view, id), first.view)
      const theirs = describe(find(view, id), view)
      const subject = find(first.view, id) ?? find(view, id)
      if (ours === theirs || !subject) return []
      return [`${some(nodes)} sees ${calledBy(subject)} as ${theirs}; ${some(first.nodes)}: ${ours}`]
    })
  })
}

const find = (view: readonly NodeView[], id: string) => view.find((node) => node.id === id)

function describe(node: NodeView | undefined, view: readonly NodeView[]): string {
  if (!node) return 'unknown'
  if (node.role === 'master')
    return node.slots.length === 0 ? 'master without slots' : `master of ${rangeText(node.slots, 5)}`
  const master = find(view, node.masterId ?? '')
  return `replica of ${master ? calledBy(master) : (node.masterId ?? 'nobody')}`
}

function some([first = '', ...others]: readonly string[]): string {
  return others.length === 0 ? first : `${first} and ${others.length} more`
}
