import { fieldTimes } from '../field-times.js'
import { type Reader, read } from '../read.js'
import { isSameStream } from '../stream-content.js'
import { isSameVectorSet } from '../vector-content.js'

/**
 * What of the times to live has to be the same. Of two copies of which clients use one, only whether they run out at all: MIGRATE sends what is left, so
 * one that a node took when it had stood still for a while runs out as much later, and clocks differ; the one that is used counts.
 */
export type Times = 'exact' | 'whether'

/**
 * Whether a key is the same on both nodes, with its time to live. By DUMP where that is equal; it need not be for equal
 * sets and hashes, whose order differs from server to server, so those are compared by their members. Streams by their entries,
 * groups and what is pending; vector sets by their elements. What cannot be compared (types of modules) and has a different DUMP counts as different.
 */
export async function isSame(a: Reader, b: Reader, key: Buffer, times: Times): Promise<boolean> {
  const [typeA, typeB, expiryA, expiryB] = await Promise.all([
    read(a, 'TYPE', key),
    read(b, 'TYPE', key),
    read(a, 'PEXPIRETIME', key),
    read(b, 'PEXPIRETIME', key),
  ])
  if (String(typeA) !== String(typeB) || !isSameTime(Number(expiryA), Number(expiryB), times)) return false
  const [dumpA, dumpB] = (await Promise.all([read(a, 'DUMP', key), read(b, 'DUMP', key)])) as Buffer[]
  if (dumpA && dumpB && dumpA.equals(dumpB)) return true
  if (String(typeA) === 'stream') return isSameStream(a, b, key)
  if (String(typeA) === 'vectorset') return isSameVectorSet(a, b, key)
  const [contentA, contentB] = await Promise.all([
    contentOf(a, String(typeA), key),
    contentOf(b, String(typeB), key),
  ])
  return contentA !== null && contentA === contentB
}

const isSameTime = (a: number, b: number, times: Times) =>
  times === 'exact' ? a === b : Math.min(a, 0) === Math.min(b, 0)

async function contentOf(reader: Reader, type: string, key: Buffer): Promise<string | null> {
  switch (type) {
    case 'string':
      return hex(await read(reader, 'GET', key))
    case 'list':
      return ((await read(reader, 'LRANGE', key, 0, -1)) as Buffer[]).map(hex).join()
    case 'set':
      return ((await read(reader, 'SMEMBERS', key)) as Buffer[]).map(hex).sort().join()
    case 'hash':
      return hashContent(reader, key, (await read(reader, 'HGETALL', key)) as Buffer[])
    case 'zset':
      return pairs((await read(reader, 'ZRANGE', key, 0, -1, 'WITHSCORES')) as Buffer[])
    default:
      return null
  }
}

/** With the times at which fields run out. */
async function hashContent(reader: Reader, key: Buffer, flat: readonly Buffer[]): Promise<string> {
  const fields = flat.filter((_, i) => i % 2 === 0)
  const times = fields.length === 0 ? null : await fieldTimes(reader, key, fields)
  return fields
    .map((field, i) => `${hex(field)}=${hex(flat[2 * i + 1])}@${times?.[i] ?? -1}`)
    .sort()
    .join()
}

const hex = (value: unknown) => (Buffer.isBuffer(value) ? value.toString('hex') : String(value))

function pairs(flat: readonly Buffer[]): string {
  const found: string[] = []
  for (let i = 0; i + 1 < flat.length; i += 2) found.push(`${hex(flat[i])}=${hex(flat[i + 1])}`)
  return found.sort().join()
}
