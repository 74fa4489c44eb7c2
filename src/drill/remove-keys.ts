import { inspectAny, type NodeView } from '../cluster/index.js'
import { type NodeLink, withLink } from '../cluster/link.js'
import { QUEUES_KEY, queueKeys } from '../keys/keys.js'
import { slotOf } from '../keys/slots.js'
import type { Target } from './target.js'

/** Longest that a key can take to go on a slow or large server: one call lists a whole slot. */
const TIMEOUT_MS = 10_000
const BATCH = 500

type Cluster = Pick<Target, 'before' | 'access' | 'addressOf'>

/** Removes all that a queue with partitions in these slots has left. @returns how many keys are left */
export async function removeQueue(
  cluster: Cluster,
  queue: string,
  partitionSlots: readonly number[],
): Promise<number> {
  const whole = queueKeys(queue)
  const own = new Set(whole.map(({ key }) => key))
  const slots = [...partitionSlots, ...whole.map(({ slot }) => slot)]
  const nodes = await nodesOf(cluster)
  await onMasterOf(cluster, nodes, slotOf(QUEUES_KEY), (link) => link.text('SREM', QUEUES_KEY, queue))
  return unlinkSlots(cluster, slots, (key) => own.has(key) || key.startsWith(`shardq:${queue}:`))
}

/**
 * Removes the keys of these slots that are `ours`, from whichever master has the slot now. By slot and not by SCAN,
 * which would walk through every key of a cluster that may hold millions of somebody else's.
 * @returns how many are left
 */
export async function unlinkSlots(
  cluster: Cluster,
  slots: readonly number[],
  ours: (key: string) => boolean,
): Promise<number> {
  const nodes = await nodesOf(cluster)
  let left = 0
  for (const slot of new Set(slots)) {
    left += await onMasterOf(cluster, nodes, slot, async (link) => {
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

async function nodesOf({ before, access, addressOf }: Cluster): Promise<readonly NodeView[]> {
  return (await inspectAny(before.nodes.map(addressOf), access)).nodes
}

async function onMasterOf<T>(
  { access, addressOf }: Cluster,
  nodes: readonly NodeView[],
  slot: number,
  use: (link: NodeLink) => Promise<T>,
): Promise<T> {
  const master = nodes.find((node) => node.slots.some(([first, last]) => first <= slot && slot <= last))
  if (!master) throw new Error(`slot ${slot} has no master`)
  return withLink(addressOf(master), { ...access, timeoutMs: TIMEOUT_MS }, use)
}
