import type { LinkOptions } from '../link.js'
import { expectNoStrays, Nodes } from '../move/index.js'
import type { BalancePlan } from './flows.js'
import type { Survey } from './survey.js'

/**
 * Whether the masters that a plan empties may become replicas, before thousands of slots are moved of which the last one is refused. What mends
 * bring home counts as well, so it is asked after them.
 * @throws NodeNotEmptyError, OnlyLibrariesError
 */
export async function expectEmptiable(
  { masters }: Pick<Survey, 'masters'>,
  { shares }: Pick<BalancePlan, 'shares'>,
  access: LinkOptions,
): Promise<void> {
  const emptied = new Set(shares.filter(({ slotsAfter }) => slotsAfter === 0).map(({ node }) => node.id))
  const takers = shares.flatMap(({ node }) => (emptied.has(node.id) ? [] : [node.id]))
  const nodes = new Nodes(access)
  try {
    for (const { node, slots } of masters)
      if (emptied.has(node.id)) await expectNoStrays(nodes, node, slots, takers, emptied)
  } finally {
    await nodes.close()
  }
}
