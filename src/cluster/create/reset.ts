import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { parseClusterNodes, parseFields } from '../replies.js'

/** Longest that nodes are told to forget each other, in ms. */
const RESET_MS = 5_000
const POLL_MS = 50
/** An introduction that was on its way is back by then, also where servers have to wait for a processor. */
const QUIET_LOOKS = 20

/**
 * Makes nodes that hold no keys forget each other and who they are. All at once, and until they stay alone: a packet of an
 * introduction that is on its way when they are reset makes them acquainted again.
 *
 * A server refuses it where there are keys, but not a replica, which has them too. So masters come first, and where one refuses, or any
 * has keys, somebody uses them: nothing more is reset.
 * @returns names of those that could not be reset
 */
export async function resetAll(nodes: readonly Address[], options: LinkOptions): Promise<string[]> {
  const deadline = performance.now() + RESET_MS
  const all = nodes.map(nameOf)
  let left = all
  // One that stands alone may have an epoch of its own.
  let touch = true
  for (let quiet = 0; quiet < QUIET_LOOKS && performance.now() < deadline && all.length > 0; ) {
    const states = await Promise.all(nodes.map((node) => stateOf(node, options)))
    if (states.includes('used')) return all
    if (touch && !(await resetEach(nodes, states, options))) return all
    left = all.filter((_, index) => states[index] !== 'alone')
    touch = left.length > 0
    quiet = touch ? 0 : quiet + 1
    await sleep(POLL_MS)
  }
  return left
}

type State = 'alone' | 'master' | 'replica' | 'used' | 'silent'

async function stateOf(node: Address, options: LinkOptions): Promise<State> {
  try {
    return await withLink(node, options, async (link) => {
      const [info, keys, view] = await Promise.all([
        link.text('CLUSTER', 'INFO'),
        link.text('DBSIZE'),
        link.text('CLUSTER', 'NODES'),
      ])
      if (Number(keys) > 0) return 'used'
      const fields = parseFields(info)
      if (fields.get('cluster_known_nodes') === '1' && fields.get('cluster_slots_assigned') === '0')
        return 'alone'
      return parseClusterNodes(view, node.host).find(({ myself }) => myself)?.role ?? 'master'
    })
  } catch {
    // It does not answer: it is not reset, which is what is told.
    return 'silent'
  }
}

/** @returns false when one refuses since it has keys by now */
async function resetEach(
  nodes: readonly Address[],
  states: readonly State[],
  options: LinkOptions,
): Promise<boolean> {
  for (const role of ['master', 'alone', 'replica']) {
    const ends = await Promise.allSettled(
      nodes
        .filter((_, index) => states[index] === role)
        .map((node) => withLink(node, options, (link) => link.text('CLUSTER', 'RESET', 'HARD'))),
    )
    const isUsed = ends.some(
      (end) => end.status === 'rejected' && String(end.reason).includes('containing keys'),
    )
    if (isUsed) return false
  }
  return true
}
