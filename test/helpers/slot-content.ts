import { createHash } from 'node:crypto'
import { type NodeLink, withLink } from '../../src/cluster/link.js'

const READS: Readonly<Record<string, readonly (string | number)[]>> = {
  string: ['GET'],
  list: ['LRANGE', 0, -1],
  set: ['SMEMBERS'],
  hash: ['HGETALL'],
  zset: ['ZRANGE', 0, -1, 'WITHSCORES'],
  stream: ['XRANGE', '-', '+'],
}
/** How many replies in a row belong together, where the order of what is read says nothing. */
const UNORDERED: Readonly<Record<string, number>> = { set: 1, hash: 2 }

/** All keys of a slot on one node of this machine: name -> type, time at which it expires, and a digest of its content. */
export async function slotContent(port: number, slot: number): Promise<ReadonlyMap<string, string>> {
  return withNode(port, async (link) => {
    const count = Number(await link.text('CLUSTER', 'COUNTKEYSINSLOT', slot))
    const names = (await link.bytes('CLUSTER', 'GETKEYSINSLOT', slot, count)) as Buffer[]
    return contentsOf(link, names)
  })
}

/** As `slotContent`, of all keys of the node, whether it owns their slots or not. */
export async function nodeContent(port: number): Promise<ReadonlyMap<string, string>> {
  return withNode(port, async (link) => {
    const names = (await link.bytes('KEYS', '*')) as Buffer[]
    return contentsOf(link, names)
  })
}

async function withNode<T>(port: number, use: (link: NodeLink) => Promise<T>): Promise<T> {
  return withLink({ host: '127.0.0.1', port }, { timeoutMs: 60_000 }, use)
}

async function contentsOf(link: NodeLink, names: readonly Buffer[]): Promise<ReadonlyMap<string, string>> {
  const found = await Promise.all(
    names.map(async (name) => {
      const type = await link.text('TYPE', name.toString())
      const [command = '', ...args] = READS[type] ?? []
      const [expiry, content] = await Promise.all([
        link.text('PEXPIRETIME', name.toString()),
        link.bytes(String(command), name, ...args),
      ])
      const flat = [content].flat(5) as Buffer[]
      return [name.toString(), `${type} ${expiry} ${digest(flat, UNORDERED[type])}`] as const
    }),
  )
  return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)))
}

function digest(content: readonly Buffer[], group: number | undefined): string {
  const hash = createHash('sha1')
  const size = group ?? 1
  const parts: Buffer[] = []
  for (let i = 0; i < content.length; i += size) parts.push(Buffer.concat(content.slice(i, i + size)))
  if (group !== undefined) parts.sort(Buffer.compare)
  for (const part of parts) hash.update(part).update('\n')
  return `${parts.length} ${hash.digest('hex')}`
}
