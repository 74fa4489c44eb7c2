import { RestoreIncompleteError } from '../errors.js'
import type { NodeLink } from '../link.js'
import type { Marker } from './marker.js'
import type { SourceKey } from './pages.js'
import { isDivisible, lengthOf, piecesOf } from './pieces.js'
import type { Target, TargetNode } from './target.js'

/** How a key of the backup stands in the cluster that is filled. */
export type Standing = 'same' | 'missing' | 'expired' | 'different'

/** DUMP ends with the version of its format and a checksum, which say nothing of the value. */
const FOOTER_BYTES = 10

/** Compares a page of keys with what the cluster has, each with its time to live. */
export async function comparePage(
  source: NodeLink,
  target: Target,
  page: readonly SourceKey[],
): Promise<readonly Standing[]> {
  return Promise.all(
    page.map(async (key) => {
      const node = target.nodeOf(key.name)
      // One question for all of a small key; a big one is not to be sent whole.
      const [expiresAt, dump] = await Promise.all([
        node.link.bytes('PEXPIRETIME', key.name),
        key.dump ? (node.link.bytes('DUMP', key.name) as Promise<Buffer | null>) : null,
      ])
      if (Number(expiresAt) === -2) return (await isOver(key, node)) ? 'expired' : 'missing'
      if (Number(expiresAt) !== key.expiresAtMs) return 'different'
      if (key.dump && dump && sameDump(key.dump, dump)) return 'same'
      return (await isSameInPieces(source, node.link, key.name)) ? 'same' : 'different'
    }),
  )
}

const isOver = async (key: SourceKey, node: TargetNode) =>
  key.expiresAtMs >= 0 && key.expiresAtMs <= (await node.nowMs())

const sameDump = (a: Buffer, b: Buffer) =>
  a.length === b.length && a.subarray(0, -FOOTER_BYTES).equals(b.subarray(0, -FOOTER_BYTES))

/** Tables have their elements in another order on every server, so an unequal DUMP need not mean an unequal value. */
async function isSameInPieces(source: NodeLink, target: NodeLink, key: Buffer): Promise<boolean> {
  const [type, typeThere] = await Promise.all([source.bytes('TYPE', key), target.bytes('TYPE', key)])
  if (String(type) !== String(typeThere)) return false
  if (!isDivisible(String(type))) {
    const [dump, dumpThere] = await Promise.all([source.bytes('DUMP', key), target.bytes('DUMP', key)])
    return Buffer.isBuffer(dump) && Buffer.isBuffer(dumpThere) && sameDump(dump, dumpThere)
  }
  const [length, lengthThere] = await Promise.all([
    lengthOf(source, String(type), key),
    lengthOf(target, String(type), key),
  ])
  if (length !== lengthThere) return false
  for await (const piece of piecesOf(source, String(type), key)) {
    const [command, ...args] = piece.ask
    if (!piece.isSame(await target.bytes(command, ...args))) return false
  }
  return true
}

/** Copies keys that are not there. Never over one that is: such a key is not from us. */
export async function copyKeys(
  source: NodeLink,
  target: Target,
  marker: Marker,
  keys: readonly SourceKey[],
): Promise<void> {
  const bytes = new Map<TargetNode, number>()
  await Promise.all(
    keys.map(async ({ name, dump, expiresAtMs }) => {
      if (!dump) return
      const node = target.nodeOf(name)
      bytes.set(node, (bytes.get(node) ?? 0) + name.length + dump.length)
      await restore(node, name, dump, expiresAtMs)
    }),
  )
  await Promise.all([...bytes].map(([node, count]) => node.written(count)))
  for (const key of keys) if (!key.dump) await copyBig(source, target.nodeOf(key.name), marker, key)
}

async function restore(node: TargetNode, name: Buffer, dump: Buffer, expiresAtMs: number): Promise<void> {
  // The exact time, not what is left of it: that would move it by the time that the copying takes.
  const ttl = expiresAtMs < 0 ? [0] : [expiresAtMs]
  try {
    await node.link.bytes('RESTORE', name, ...ttl, dump, 'ABSTTL')
  } catch (error) {
    const { message } = error as Error
    if (message.startsWith('BUSYKEY'))
      throw new RestoreIncompleteError(
        `${name} has appeared on ${node.name}; something else writes to this cluster`,
      )
    throw new RestoreIncompleteError(`${node.name} does not take ${name}: ${message}`, { cause: error })
  }
}

/** In pieces: a server stands still while it takes a key, and counts as dead if that takes longer than cluster-node-timeout. */
async function copyBig(source: NodeLink, node: TargetNode, marker: Marker, key: SourceKey): Promise<void> {
  const type = String(await source.bytes('TYPE', key.name))
  if (type === 'none') return // It has expired since the page was read.
  if (!isDivisible(type)) {
    const dump = (await source.bytes('DUMP', key.name)) as Buffer | null
    if (dump) await restore(node, key.name, dump, key.expiresAtMs)
    return
  }
  await marker.beginKey(key.name)
  for await (const piece of piecesOf(source, type, key.name)) {
    const [command, ...args] = piece.write
    await node.link.bytes(command, ...args)
    await node.written(args.reduce((sum: number, arg) => sum + (Buffer.isBuffer(arg) ? arg.length : 8), 0))
  }
  if (key.expiresAtMs >= 0) await node.link.bytes('PEXPIREAT', key.name, key.expiresAtMs)
  await marker.endKey()
}
