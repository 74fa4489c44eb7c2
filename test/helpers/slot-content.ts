import { createHash } from 'node:crypto'
import { NodeLink } from '../../src/cluster/link.js'

const READS: Readonly<Record<string, readonly (string | number)[]>> = {
  string: ['GET'],
  list: ['LRANGE', 0, -1],
  set: ['SMEMBERS'],
  hash: ['HGETALL'],
  zset: ['ZRANGE', 0, -1, 'WITHSCORES'],
}
/** How many replies in a row belong together, where the order of what is read says nothing. */
const UNORDERED: Readonly<Record<string, number>> = { set: 1, hash: 2 }

/** All keys of a slot on one node of this machine: name -> type, time at which it expires, and a digest of its content. */
export async function slotContent(port: number, slot: number): Promise<ReadonlyMap<string, string>> {
  const link = await NodeLink.open({ host: '127.0.0.1', port }, { timeoutMs: 60_000 })
  try {
    const count = Number(await link.text('CLUSTER', 'COUNTKEYSINSLOT', slot))
    const names = (await link.bytes('CLUSTER', 'GETKEYSINSLOT', slot, count)) as Buffer[]
    const found = await Promise.all(
      names.map(async (name) => {
        const type = await link.text('TYPE', name.toString())
        const [command = '', ...args] = READS[type] ?? []
        const [expiry, content] = await Promise.all([
          link.text('PEXPIRETIME', name.toString()),
          link.bytes(String(command), name, ...args),
        ])
        return [
          name.toString(),
          `${type} ${expiry} ${digest(content as Buffer | Buffer[], UNORDERED[type])}`,
        ] as const
      }),
    )
    return new Map(found.sort(([a], [b]) => (a < b ? -1 : 1)))
  } finally {
    link.close()
  }
}

function digest(content: Buffer | Buffer[], group: number | undefined): string {
  const hash = createHash('sha1')
  if (Buffer.isBuffer(content)) return hash.update(content).digest('hex')
  const size = group ?? 1
  const parts: Buffer[] = []
  for (let i = 0; i < content.length; i += size) parts.push(Buffer.concat(content.slice(i, i + size)))
  if (group !== undefined) parts.sort(Buffer.compare)
  for (const part of parts) hash.update(part).update('\n')
  return `${parts.length} ${hash.digest('hex')}`
}
