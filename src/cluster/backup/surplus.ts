import { setTimeout as sleep } from 'node:timers/promises'
import keySlot from 'cluster-key-slot'
import type { NodeLink } from '../link.js'
import { redisCli, typedKey } from '../redis-cli.js'
import { slotsIn } from '../slots.js'
import { MOVED_MS } from './copy.js'
import type { KeyCount } from './count.js'
import { withLoaded } from './look.js'
import type { Sources } from './look-at-all.js'
import type { ShardFile } from './manifest.js'
import type { RestoredFile } from './restore-options.js'
import type { Target, TargetNode } from './target.js'

/** What has run out here may live on in the cluster: for as long as a move may have shifted its end, and somewhat longer. */
const EXPIRES_LATE_MS = 1.3 * MOVED_MS
const AGAIN_MS = 200

const MOST_NAMED = 3
const MOST_BYTES = 60

/**
 * What is in a cluster that was filled. A restore that goes on does not look for keys whose time is over; there they are counted until the server
 * comes to removing them, which may be never. So where it may be that, they are removed, and counted again.
 */
export async function countFilled(
  target: Pick<Target, 'count' | 'keys'>,
  expected: KeyCount,
  signal: AbortSignal | undefined,
): Promise<KeyCount> {
  const started = performance.now()
  for (;;) {
    const counted = await target.count()
    if (!mayPass(counted, expected) || performance.now() - started > EXPIRES_LATE_MS) return counted
    for await (const _ of target.keys()) signal?.throwIfAborted()
    await sleep(AGAIN_MS, undefined, { signal })
  }
}

/** Whether more keys expire than should, or a hash of which the last field that expires has done so does not count as one that lasts yet. */
function mayPass(counted: KeyCount, expected: KeyCount): boolean {
  const expiring = counted.all - counted.lasting
  const mostExpiring = expected.all - expected.lasting - expected.withFieldTimes
  if (counted.all > expected.all && expiring > mostExpiring) return true
  return counted.lasting < expected.lasting && counted.lasting + counted.withFieldTimes >= expected.lasting
}

interface Foreign {
  readonly node: TargetNode
  readonly name: Buffer
}

/**
 * For who has to remove keys of somebody from a cluster that was filled; null: none was found.
 * The price: files are read once more, those first of whose slots the cluster has more keys than it was given.
 */
export async function foreignText(sources: Sources, files: readonly RestoredFile[]): Promise<string | null> {
  const { backup, server, target, options } = sources
  for (const shard of await bySurplus(sources, files)) {
    const found = await withLoaded(server, backup, shard, options.signal, ({ link }) =>
      foreignIn(link, target, shard, options.signal),
    )
    const [first] = found
    if (!first) continue
    const [are, them] = found.length === 1 ? ['is', 'it'] : ['are', 'them']
    return (
      `${found.map(({ node, name }) => `${shown(name)} on ${node.name}`).join(', ')} ${are} in no file of the backup; end what writes ` +
      `there, and remove ${them} if nobody needs ${them}: ${redisCli(first.node.link.address, options, '-c UNLINK KEY')}`
    )
  }
  return null
}

const shown = (name: Buffer) =>
  name.length > MOST_BYTES ? `${typedKey(name.subarray(0, MOST_BYTES))}...` : typedKey(name)

async function bySurplus({ backup, target, options }: Sources, files: readonly RestoredFile[]) {
  const { shards } = backup.manifest
  const fileOf: number[] = []
  for (const [i, { slots }] of shards.entries()) for (const slot of slotsIn(slots)) fileOf[slot] = i
  const surplus = shards.map((_, i) => -(files[i]?.keys ?? 0))
  for await (const { names } of target.keys()) {
    options.signal?.throwIfAborted()
    for (const name of names) {
      const i = fileOf[keySlot(name)] ?? -1
      surplus[i] = (surplus[i] ?? 0) + 1
    }
  }
  return shards
    .map((shard, i) => ({ shard, surplus: surplus[i] ?? 0 }))
    .sort((a, b) => b.surplus - a.surplus)
    .map(({ shard }) => shard)
}

async function foreignIn(
  source: NodeLink,
  target: Target,
  shard: ShardFile,
  signal: AbortSignal | undefined,
): Promise<Foreign[]> {
  const slots = new Set(slotsIn(shard.slots))
  const found: Foreign[] = []
  for await (const { node, names } of target.keys([...slots])) {
    signal?.throwIfAborted()
    const own = names.filter((name) => slots.has(keySlot(name)))
    const held = await Promise.all(own.map((name) => source.bytes('EXISTS', name)))
    for (const [i, name] of own.entries()) {
      if (Number(held[i]) === 1 || !(await lastsOn(node, name))) continue
      found.push({ node, name })
      if (found.length === MOST_NAMED) return found
    }
  }
  return found
}

/** What ends soon may be of the backup, and have run out here. */
async function lastsOn(node: TargetNode, name: Buffer): Promise<boolean> {
  const endsAtMs = Number(await node.link.bytes('PEXPIRETIME', name))
  return endsAtMs === -1 || endsAtMs > (await node.nowMs()) + MOVED_MS
}
