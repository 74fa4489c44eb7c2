import { type Address, inspectAny, type LinkOptions } from '../../src/cluster/index.js'
import { type NodeLink, withLink } from '../../src/cluster/link.js'

/** Every key of a cluster with its type, value and time to live, read with the plain commands of each type. */
export async function contentsOf(
  seeds: readonly Address[],
  access: LinkOptions = {},
): Promise<Map<string, string>> {
  const { nodes } = await inspectAny(seeds, access)
  const found = new Map<string, string>()
  for (const node of nodes.filter(({ role }) => role === 'master'))
    await withLink(node, { timeoutMs: 10_000, ...access }, async (link) => {
      let cursor = '0'
      do {
        const [next, names] = (await link.bytes('SCAN', cursor, 'COUNT', 500)) as [Buffer, Buffer[]]
        cursor = String(next)
        const contents = await Promise.all(names.map((name) => contentOf(link, name)))
        for (const [i, name] of names.entries()) {
          const key = name.toString('latin1')
          if (found.has(key)) throw new Error(`${key} is on two nodes, or was listed twice`)
          const content = contents[i]
          if (content) found.set(key, content)
        }
      } while (cursor !== '0')
    })
  return found
}

async function contentOf(link: NodeLink, key: Buffer): Promise<string | null> {
  const type = await link.bytes('TYPE', key)
  const expiry = await link.bytes('PEXPIRETIME', key)
  if (String(type) === 'none') return null
  return `${type} ${expiry} ${await readValue(link, String(type), key)}`
}

async function readValue(link: NodeLink, type: string, key: Buffer): Promise<string> {
  const items = async (command: string, ...args: (string | number)[]) =>
    hex(await link.bytes(command, key, ...args))
  switch (type) {
    case 'string':
      return (await items('GET')).join()
    case 'list':
      return (await items('LRANGE', 0, -1)).join()
    case 'set':
      return (await items('SMEMBERS')).sort().join()
    case 'zset':
      return (await items('ZRANGE', 0, -1, 'WITHSCORES')).join()
    case 'hash': {
      const flat = await items('HGETALL')
      return flat
        .flatMap((field, i) => (i % 2 === 0 ? [`${field}=${flat[i + 1]}`] : []))
        .sort()
        .join()
    }
    case 'stream':
      return [...(await items('XRANGE', '-', '+')), hex(await link.bytes('XINFO', 'GROUPS', key))].join()
    default:
      throw new Error(`${key} is a ${type}`)
  }
}

const hex = (value: unknown): string[] =>
  Array.isArray(value) ? value.flatMap(hex) : [Buffer.isBuffer(value) ? value.toString('hex') : String(value)]
