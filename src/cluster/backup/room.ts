import { RestoreRefusedError } from '../errors.js'
import type { NodeLink } from '../link.js'
import { parseFields } from '../replies.js'
import { slotsIn } from '../slots.js'
import type { ShardFile } from './manifest.js'
import { MORE_MEMORY } from './memory.js'
import type { Target, TargetNode } from './target.js'

/** What a file takes at least of the memory of whoever gets it. */
export interface Need {
  readonly shard: ShardFile
  readonly bytes: number
}

const memoryOf = async (link: NodeLink) => parseFields(await link.text('INFO', 'memory'))

/**
 * The smaller of two: the file, in which values are as small as they get, but some may have expired by now; and what the server has of it that
 * has loaded it, which would be less by other settings (`hash-max-listpack-entries` and the like).
 */
export async function needOf(shard: ShardFile, loaded: NodeLink): Promise<Need> {
  const info = await memoryOf(loaded)
  const used = Number(info.get('used_memory')) - Number(info.get('used_memory_startup'))
  return { shard, bytes: Math.min(shard.bytes, used) }
}

/** How many bytes more each node takes; only of those that have a limit. */
export async function roomOf(nodes: readonly TargetNode[]): Promise<Map<TargetNode, number>> {
  const room = new Map<TargetNode, number>()
  for (const node of nodes) {
    const info = await memoryOf(node.link)
    const most = Number(info.get('maxmemory') ?? 0)
    if (most > 0) room.set(node, Math.max(0, most - Number(info.get('used_memory'))))
  }
  return room
}

/**
 * Refuses what surely has no room: files all of whose slots are one node's, beside that node, and all files beside all nodes. What this lets pass may
 * still be too much, since memory takes more than a file; the restore then ends, and goes on where there is more.
 * @throws RestoreRefusedError
 */
export function mustHaveRoom(
  target: Target,
  room: ReadonlyMap<TargetNode, number>,
  needs: readonly Need[],
): void {
  const sum = (each: readonly Need[]) => each.reduce((bytes, need) => bytes + need.bytes, 0)
  const refuse = (who: string, needed: number, left: number) => {
    if (needed > left)
      throw new RestoreRefusedError(
        `${who} ${left} bytes of memory left (maxmemory), and what is to be restored there takes ${needed} at least: it would be refused, or ` +
          `keys thrown away (maxmemory-policy), half way: ${MORE_MEMORY}`,
      )
  }
  for (const [node, left] of room) {
    const own = needs.filter(({ shard }) =>
      slotsIn(shard.slots).every((slot) => target.ownerOf(slot) === node),
    )
    refuse(`${node.name} has`, sum(own), left)
  }
  if (room.size === target.nodes.length)
    refuse(
      `${room.size} masters have together`,
      sum(needs),
      [...room.values()].reduce((bytes, left) => bytes + left, 0),
    )
}
