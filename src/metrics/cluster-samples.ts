import type { NodeObservation, NodeView, Observation } from '../cluster/index.js'
import type { ClusterMetric } from './node-families.js'
import type { Samples } from './observed.js'

const SLOTS = 16_384

type Answer = Extract<NodeObservation, { up: true }>

/** The cluster as a whole. Of a single server, only whether it answers. */
export function addCluster(samples: Samples<ClusterMetric>, { nodes }: Observation): void {
  const answers = nodes.filter((node): node is Answer => node.up && node.view.length > 0)
  samples.add('shardq_cluster_failed_nodes', {}, failedIn(nodes, answers).size)
  const views = answers.map(({ view }) => view)
  const best = bestOf(answers)
  if (best === undefined) return
  const masters = best.filter(({ role, slots }) => role === 'master' && slots.length > 0)
  samples.add('shardq_cluster_masters', {}, masters.length)
  samples.add('shardq_cluster_replicas', {}, best.filter(({ role }) => role === 'replica').length)
  samples.add('shardq_cluster_views', {}, new Set(views.map(summaryOf)).size)
  samples.add('shardq_cluster_slots_unassigned', {}, SLOTS - assignedBy(views))
  samples.add('shardq_cluster_open_slots', {}, openIn(views))
}

/** By host:port. */
function failedIn(nodes: readonly NodeObservation[], answers: readonly Answer[]): ReadonlySet<string> {
  const failed = new Set(nodes.filter(({ up }) => !up).map(({ name }) => name))
  const flagged = new Map<string, number>()
  for (const { view } of answers)
    for (const { host, port, flags } of view)
      if (flags.includes('fail')) flagged.set(`${host}:${port}`, (flagged.get(`${host}:${port}`) ?? 0) + 1)
  for (const [name, count] of flagged) if (2 * count > answers.length) failed.add(name)
  return failed
}

/** One that knows all slots, and has heard of the last election: a node that was cut off knows less than the others. */
function bestOf(answers: readonly Answer[]): readonly NodeView[] | undefined {
  const rank = ({ view, clusterInfo }: Answer) =>
    [assignedBy([view]), Number(clusterInfo.get('cluster_current_epoch'))] as const
  const ranked = answers
    .map((answer) => ({ view: answer.view, rank: rank(answer) }))
    .sort((a, b) => b.rank[0] - a.rank[0] || b.rank[1] - a.rank[1])
  return ranked[0]?.view
}

/** What nodes have to agree on, in a form that can be compared. Who is only being introduced belongs to nobody's view yet. */
function summaryOf(view: readonly NodeView[]): string {
  return view
    .filter(({ flags }) => !flags.includes('handshake'))
    .map(({ id, role, masterId, slots }) => `${id} ${role} ${masterId} ${slots.join(' ')}`)
    .sort()
    .join('\n')
}

function assignedBy(views: readonly (readonly NodeView[])[]): number {
  const assigned = new Uint8Array(SLOTS)
  for (const { slots } of views.flat()) for (const [first, last] of slots) assigned.fill(1, first, last + 1)
  return assigned.reduce((sum, each) => sum + each, 0)
}

/** A slot that moves is open at both ends: `[93->-id]` here, `[93-<-id]` there. */
function openIn(views: readonly (readonly NodeView[])[]): number {
  const open = views
    .flat()
    .flatMap(({ openSlots }) => openSlots.map((text) => Number.parseInt(text.slice(1), 10)))
  return new Set(open).size
}
