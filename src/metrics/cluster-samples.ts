import { type NodeObservation, type NodeView, nameOf, type Observation } from '../cluster/index.js'
import { ALL_SLOTS, parseOpenSlots } from '../cluster/slots.js'
import { campsOf, type Witness, witnessesOf } from '../cluster/views.js'
import type { ClusterMetric } from './node-families.js'
import type { Samples } from './observed.js'

/** The cluster as a whole. Of a single server, only whether it answers. */
export function addCluster(samples: Samples<ClusterMetric>, observation: Observation): void {
  const answers = witnessesOf(observation)
  samples.add('shardq_cluster_failed_nodes', {}, failedIn(observation.nodes, answers).size)
  const views = answers.map(({ view }) => view)
  const best = bestOf(answers)
  if (best === undefined) return
  const masters = best.filter(({ role, slots }) => role === 'master' && slots.length > 0)
  samples.add('shardq_cluster_masters', {}, masters.length)
  samples.add('shardq_cluster_replicas', {}, best.filter(({ role }) => role === 'replica').length)
  samples.add('shardq_cluster_views', {}, campsOf(observation).length)
  samples.add('shardq_cluster_slots_unassigned', {}, ALL_SLOTS - assignedBy(views))
  samples.add('shardq_cluster_open_slots', {}, openIn(views))
}

/** By host:port. */
function failedIn(nodes: readonly NodeObservation[], answers: readonly Witness[]): ReadonlySet<string> {
  const failed = new Set(nodes.filter(({ up }) => !up).map(({ name }) => name))
  const flagged = new Map<string, number>()
  for (const { view } of answers)
    for (const node of view)
      if (node.flags.includes('fail')) flagged.set(nameOf(node), (flagged.get(nameOf(node)) ?? 0) + 1)
  for (const [name, count] of flagged) if (2 * count > answers.length) failed.add(name)
  return failed
}

/** One that knows all slots, and has heard of the last election: a node that was cut off knows less than the others. */
function bestOf(answers: readonly Witness[]): readonly NodeView[] | undefined {
  const rank = ({ view, clusterInfo }: Witness) =>
    [assignedBy([view]), Number(clusterInfo.get('cluster_current_epoch'))] as const
  const ranked = answers
    .map((answer) => ({ view: answer.view, rank: rank(answer) }))
    .sort((a, b) => b.rank[0] - a.rank[0] || b.rank[1] - a.rank[1])
  return ranked[0]?.view
}

function assignedBy(views: readonly (readonly NodeView[])[]): number {
  const assigned = new Uint8Array(ALL_SLOTS)
  for (const { slots } of views.flat()) for (const [first, last] of slots) assigned.fill(1, first, last + 1)
  return assigned.reduce((sum, each) => sum + each, 0)
}

/** A slot that moves is open at both ends: `[93->-id]` here, `[93-<-id]` there. */
function openIn(views: readonly (readonly NodeView[])[]): number {
  const open = views.flat().flatMap(({ openSlots }) => parseOpenSlots(openSlots))
  return new Set(open.map(({ slot }) => slot)).size
}
