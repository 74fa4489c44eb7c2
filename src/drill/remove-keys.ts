import { inspectAny } from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import type { Target } from './target.js'

/** Longest that a key can take to go on a slow or large server: one call lists a whole slot. */
const TIMEOUT_MS = 10_000
const BATCH = 500

/**
 * Removes the keys of these slots that are `ours`, from whichever master has the slot now. By slot and not by SCAN,
 * which would walk through every key of a cluster that may hold millions of somebody else's.
 * @returns how many are left
 */
export async function unlinkSlots(
  { before, access, addressOf }: Pick<Target, 'before' | 'access' | 'addressOf'>,
  slots: readonly number[],
  ours: (key: string) => boolean,
): Promise<number> {
  const { nodes } = await inspectAny(before.nodes.map(addressOf), access)
  let left = 0
  for (const slot of new Set(slots)) {
    const master = nodes.find((node) => node.slots.some(([first, last]) => first <= slot && slot <= last))
    if (!master) throw new Error(`slot ${slot} has no master`)
    left += await withLink(addressOf(master), { ...access, timeoutMs: TIMEOUT_MS }, async (link) => {
      const list = async () => {
        const count = Number(await link.text('CLUSTER', 'COUNTKEYSINSLOT', slot))
        if (count === 0) return []
        return (await link.text('CLUSTER', 'GETKEYSINSLOT', slot, count)).split(',').filter(ours)
      }
      const keys = await list()
      // One slot, so one command may name many.
      for (let at = 0; at < keys.length; at += BATCH) await link.text('UNLINK', ...keys.slice(at, at + BATCH))
      return (await list()).length
    })
  }
  return left
}
