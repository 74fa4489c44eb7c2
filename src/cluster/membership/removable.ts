import { NodeRefusedError } from '../errors.js'
import { nameOf } from '../link.js'
import { onlyLibraries, servingWithout } from '../only-libraries.js'
import type { NodeView } from '../replies.js'
import { neediestMaster } from './homes.js'
import { withoutCopy } from './in-sync.js'
import type { RemoveOptions } from './remove.js'
import { type Roster, replicasOf, silentIn } from './roster.js'

/** Fewer can neither elect nor outvote. */
const FEWEST_MASTERS = 3

/** @throws NodeRefusedError with each thing that is against removing a node, and the way out */
export async function refuseUnless(
  roster: Roster,
  node: NodeView,
  going: readonly NodeView[],
  options: RemoveOptions,
): Promise<void> {
  const { leaveUnprotected } = options
  const { nodes } = roster
  const gone = new Set(going.map(({ id }) => id))
  const staying = nodes.filter(({ id }) => !gone.has(id))
  const problems: string[] = []
  for (const silent of silentIn(roster))
    problems.push(
      silent.id === node.id
        ? `it does not answer; if it is gone for good: shardq cluster fix --forget ${nameOf(node)}`
        : `${nameOf(silent)} does not answer, and would make it known again when it is back; start it, or if it is gone ` +
            `for good: shardq cluster fix --forget ${nameOf(silent)}`,
    )
  const masters = staying.filter(({ role, slots }) => role === 'master' && slots.length > 0)
  if (node.slots.length > 0 && masters.length < FEWEST_MASTERS)
    problems.push(
      `${masters.length} masters would be left, and fewer than 3 can neither elect nor outvote; add one first: shardq cluster add-node`,
    )
  if (!leaveUnprotected)
    for (const master of staying.filter(({ role, slots }) => role === 'master' && slots.length > 0)) {
      const replicas = replicasOf(roster, master.id)
      const loses = replicas.some(({ id }) => gone.has(id))
      if (loses && replicas.every(({ id }) => gone.has(id)))
        problems.push(
          `it is the only replica of ${nameOf(master)}; give that another first: shardq cluster add-node --replica-of ` +
            `${nameOf(master)} - or if it may be without: --leave-unprotected`,
        )
      else if (replicas.length === 0 && going.length > 1)
        problems.push(
          `${nameOf(master)} has no replica and could have one of those that are to go; leave out --with-replicas - or if it may ` +
            'be without: --leave-unprotected',
        )
    }
  for (const each of going.filter(({ role }) => role === 'master')) {
    const only = await onlyLibraries(each, servingWithout(nodes, gone), options)
    if (only) problems.push(`no other master has ${only.what} just so; ${only.remedy}`)
  }
  if (!leaveUnprotected) problems.push(...(await withoutCopy(roster, mastersOf(going), gone, options)))
  if (problems.length > 0) throw new NodeRefusedError(nameOf(node), 'removed', problems)
}

const mastersOf = (going: readonly NodeView[]) => going.flatMap(({ masterId }) => masterId ?? [])

/** Which replicas of a node that goes get which master; those that go with it none. */
export function rehomes(roster: Roster, node: NodeView, going: readonly NodeView[]) {
  const gone = new Set(going.map(({ id }) => id))
  let nodes = roster.nodes
  return replicasOf(roster, node.id)
    .filter(({ id }) => !gone.has(id))
    .flatMap((replica) => {
      const master = neediestMaster(nodes, replica, gone)
      if (!master) return []
      nodes = nodes.map((each) => (each.id === replica.id ? { ...each, masterId: master.id } : each))
      return [{ replica: nameOf(replica), master: nameOf(master) }]
    })
}
