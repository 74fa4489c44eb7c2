import { NodeUnreachableError } from '../errors.js'
import type { NodeView } from '../replies.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import type { Party } from './party.js'

/** What one node thinks of all. */
export interface Opinion {
  /** As the one sees it who was asked who there is. */
  readonly node: NodeView
  /** Undefined: it does not answer, and does not count as failed yet. */
  readonly view: readonly NodeView[] | undefined
}

/** What it remembers is older than what the others have heard, and it hears of that before it is asked. */
const isLost = (flag: string) => ['fail', 'noaddr', 'handshake'].includes(flag)

const BUSY = /^(LOADING|BUSY|MASTERDOWN) /

/**
 * Asks all nodes that one knows now, and not those that a plan was made with: somebody may have been promoted since. Those that count as failed
 * are left out.
 * @param which of them, as they are seen by that one. Default: all
 */
export async function opinionsOfOthers(
  nodes: Nodes,
  party: Party,
  which: (node: NodeView) => boolean = () => true,
): Promise<Opinion[]> {
  const others = (await nodes.view(party)).filter(
    (node) => !node.myself && !node.flags.some(isLost) && !nodes.givenUp.has(node.id) && which(node),
  )
  return inFlights(others, async (node) => ({
    node,
    view: await nodes.viewAnew(node).catch(unlessUnreachable),
  }))
}

/** As the node says it of itself. */
export const selfIn = (view: readonly NodeView[]) => view.find(({ myself }) => myself)

/** Of each slot, whom a node takes for its owner. */
export function ownersIn(view: readonly NodeView[], slots: readonly number[]): (NodeView | undefined)[] {
  const owning = view.filter((node) => node.slots.length > 0)
  return slots.map((slot) =>
    owning.find((node) => node.slots.some(([first, last]) => first <= slot && slot <= last)),
  )
}

/** One that is down counts as failed before long, and one that loads its data or runs a long script will answer. */
export function unlessUnreachable(error: Error): undefined {
  if (!(error instanceof NodeUnreachableError) && !BUSY.test(error.message)) throw error
  return undefined
}
