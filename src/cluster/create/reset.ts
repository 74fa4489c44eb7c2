import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type LinkOptions, NodeLink, nameOf } from '../link.js'
import { parseFields } from '../replies.js'

/** Longest that nodes are told to forget each other, in ms. */
const RESET_MS = 5_000
const POLL_MS = 50
/** An introduction that was on its way is back by then, also where servers have to wait for a processor. */
const QUIET_LOOKS = 20

/**
 * Makes nodes that hold no keys forget each other and who they are. All at once, and until they stay alone: a packet of an
 * introduction that is on its way when they are reset makes them acquainted again. A server refuses it where there are keys.
 * @returns names of those that could not be reset
 */
export async function resetAll(nodes: readonly Address[], options: LinkOptions): Promise<string[]> {
  if (nodes.length === 0) return []
  const deadline = performance.now() + RESET_MS
  let quiet = 0
  let left = nodes.map(nameOf)
  let touch = true
  while (quiet < QUIET_LOOKS && performance.now() < deadline) {
    const alone = await Promise.all(nodes.map((node) => resetOne(node, options, touch)))
    left = nodes.flatMap((node, index) => (alone[index] ? [] : [nameOf(node)]))
    quiet = left.length === 0 ? quiet + 1 : 0
    touch = left.length > 0
    await sleep(POLL_MS)
  }
  return left
}

/** @returns whether it knows nobody and owns nothing now */
async function resetOne(node: Address, options: LinkOptions, touch: boolean): Promise<boolean> {
  let link: NodeLink | undefined
  try {
    link = await NodeLink.open(node, options)
    if (touch) await link.text('CLUSTER', 'RESET', 'HARD')
    const info = parseFields(await link.text('CLUSTER', 'INFO'))
    return info.get('cluster_known_nodes') === '1' && info.get('cluster_slots_assigned') === '0'
  } catch {
    // It does not answer, or refuses: it is not reset, which is what is told.
    return false
  } finally {
    link?.close()
  }
}
