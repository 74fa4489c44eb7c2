import { addressFrom } from '../../connection/host.js'
import { planRebalance } from '../balance/index.js'
import { NodeRefusedError } from '../errors.js'
import { deedsOf as deedsOfStep } from '../fix/index.js'
import { type Address, nameOf, withLink } from '../link.js'
import { noSuchNode } from '../no-such-node.js'
import { type Deed, mustBeAgreed, type RunOptions } from '../operation/agreed.js'
import { withOperation } from '../operation/index.js'
import { leftOf, withLeft } from '../owed/left.js'
import { mustPermit } from '../permitted.js'
import type { NodeView } from '../replies.js'
import { expectId, resetNode } from './forget.js'
import { expectCopyElsewhere } from './in-sync.js'
import { lookAt } from './newcomer.js'
import { refuseUnless, rehomes } from './removable.js'
import { type PlannedRemoval, type RemoveOptions, remove } from './remove.js'
import { findNode, type Roster, replicasOf, rosterOf } from './roster.js'

/**
 * What it takes to remove a node. Changes nothing until `run`, which may be done again after it was cut off at any place.
 * @param name `host:port` or id
 * @throws NodeRefusedError with each thing that is against it; InvalidOptionError when there is no such node; ClusterNotReadyError
 */
export async function planRemoval(
  seeds: readonly Address[],
  name: string,
  options: RemoveOptions = {},
): Promise<PlannedRemoval> {
  await mustPermit(seeds, options, 'cluster remove-node', ['CLUSTER FORGET'])
  const roster = await rosterOf(seeds, options)
  const node = findNode(roster, name)
  if (!node) return finishing(roster, name, options)
  const going = goingWith(roster, node, options)
  await refuseUnless(roster, node, going, options)
  const everywhere = roster.nodes.map(({ host, port }) => ({ host, port }))
  const movesOf = async ({ id, slots }: NodeView, ours: RemoveOptions) =>
    slots.length === 0 ? null : planRebalance(everywhere, { ...ours, weights: { [id]: 0 } })
  const moves = await movesOf(node, options)
  const run = ({ evenIfChanged = false }: RunOptions = {}) =>
    withOperation(everywhere, options, { name: 'remove-node' }, options.signal, async (held) => {
      const ours = { ...options, ...held }
      const now = await rosterOf(everywhere, ours)
      const known = findNode(now, node.id)
      // It may have been forgotten by somebody else, who was cut off before it was reset; or another one has its address by now.
      if (!known) await withLink(node, ours, (link) => expectId(link, node))
      const itself = known ?? { ...node, slots: [] }
      const leaving = goingWith(now, itself, ours)
      if (!evenIfChanged)
        mustBeAgreed('remove-node', deedsOf(going, moves), deedsOf(leaving, await movesOf(itself, ours)))
      await refuseUnless(now, itself, leaving, ours)
      return withLeft(held, await remove(everywhere, itself, leaving, ours))
    })
  return {
    node: nameOf(node),
    role: node.role,
    removes: going.map(nameOf),
    rehomes: rehomes(roster, node, going),
    moves: moves && { ...moves },
    run,
  }
}

const goingWith = (roster: Roster, node: NodeView, { withReplicas }: RemoveOptions): NodeView[] => [
  ...(withReplicas ? replicasOf(roster, node.id) : []),
  node,
]

/** A replica that has been promoted since has slots, and perhaps the only copies of what is in them. */
const deedOf = (node: NodeView): Deed => ({
  id: `${node.id} ${node.role}`,
  what: `${nameOf(node)} is a ${node.role} by now, and would be removed`,
})

/** Where its slots go is chosen anew; what has to be mended before is not. */
const deedsOf = (going: readonly NodeView[], moves: PlannedRemoval['moves']): Deed[] => [
  ...going.map(deedOf),
  ...(moves?.mends ?? []).flatMap(deedsOfStep),
]

/**
 * Forgotten by all, but not reset: what a removal leaves that was cut off between the two.
 * @throws InvalidOptionError when it is not that; ClusterNotReadyError when nobody else has its data
 */
async function finishing(roster: Roster, name: string, options: RemoveOptions): Promise<PlannedRemoval> {
  const unknown = noSuchNode('node', name)
  const address = addressFrom(name)
  if (address === undefined) throw unknown
  const candidate = await lookAt(address, options).catch(() => {
    throw unknown
  })
  const { self } = candidate
  if (!candidate.view.some(({ id, myself }) => !myself && findNode(roster, id))) throw unknown
  const seeds = roster.nodes.map(({ host, port }) => ({ host, port }))
  const node = { ...address, id: self.id, masterId: self.masterId }
  const gone = new Set([self.id])
  await expectCopyElsewhere(roster, node, gone, options)
  const run = () =>
    withOperation(seeds, options, { name: 'remove-node' }, options.signal, async (held) => {
      const ours = { ...options, ...held }
      const all = await rosterOf(seeds, ours)
      const now = findNode(all, self.id)
      if (now)
        throw new NodeRefusedError(name, 'removed', [
          `it is a ${now.role} of the cluster again; if it is to leave: shardq cluster remove-node ${name}`,
        ])
      await expectCopyElsewhere(all, node, gone, ours)
      await resetNode(node, seeds, ours)
      options.onStep?.({ step: 'reset', node: name })
      return { removed: [name], left: leftOf(held) }
    })
  return { node: name, role: self.role, removes: [name], rehomes: [], moves: null, run }
}
