import { nameOf } from '../link.js'
import { confirmAll } from '../move/confirm.js'
import { type Nodes, type Party, StepRefused } from '../move/index.js'
import { parseFields } from '../replies.js'
import type { BalancePlan } from './flows.js'
import type { Survey } from './survey.js'

/**
 * Masters that no replica follows and that would get slots from one that has a replica: what was on two machines would be on one, and an
 * acknowledged task would be lost with it.
 * @returns a sentence for each
 */
export function unprotected(plan: BalancePlan, { masters }: Pick<Survey, 'masters'>): string[] {
  const following = new Map(masters.map(({ node, following }) => [node.id, following]))
  const slots = new Map<string, number>()
  for (const { from, to, slots: ranges } of plan.flows) {
    if ((following.get(to.id) ?? 0) > 0 || (following.get(from.id) ?? 0) === 0) continue
    const count = ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
    slots.set(to.id, (slots.get(to.id) ?? 0) + count)
  }
  return masters
    .filter(({ node }) => slots.has(node.id))
    .map(
      ({ node, replicas }) =>
        `no replica follows ${nameOf(node)}, which would get ${slots.get(node.id)} slots from masters with one: ` +
        `${replicas.length > 0 ? `start ${replicas.join(', ')}` : 'give it one (shardq cluster add-node --help)'}, or if that is wanted: --leave-unprotected`,
    )
}

/** Not the end: before the next move a replica is waited for, as before the first. */
export class UnfollowedError extends Error {}

/**
 * What `unprotected` has seen may be so no more: the replica of a master may die while that one gets slots, and is then asked for no
 * confirmation. And one that stands still counts as connected for a minute; each slot would be refused after ten seconds.
 * @throws UnfollowedError
 */
export async function expectFollowed(nodes: Nodes, from: Party, to: Party): Promise<void> {
  const [here, there] = await Promise.all(
    [from, to].map(async (party) =>
      Number(parseFields(await nodes.text(party, 'INFO', 'replication')).get('connected_slaves')),
    ),
  )
  if (here !== 0 && there === 0)
    throw new UnfollowedError(
      `no replica follows ${to.name} any more, which gets slots from one with a replica`,
    )
  await confirmAll(nodes, to).catch((error: Error) => {
    if (!(error instanceof StepRefused)) throw error
    throw new UnfollowedError(`${error.message}; ${error.remedy}`)
  })
}
