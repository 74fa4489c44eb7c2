import { type Reader, read } from './content.js'
import { StepRefused } from './party.js'

/** One command for the node that gets the key. */
export type Write = readonly [command: string, ...args: (string | number | Buffer)[]]

/**
 * Bytes that are read or written in one command: about a millisecond of a server's time, on either side. Twice as much is
 * common, since elements differ in size; a single element is never cut.
 */
export const PIECE_BYTES = 256 * 1024

/** A key as it is to be copied. */
export interface KeyToCopy {
  readonly name: Buffer
  /** By MEMORY USAGE. */
  readonly bytes: number
}

const LENGTHS = { string: 'STRLEN', list: 'LLEN', set: 'SCARD', hash: 'HLEN', zset: 'ZCARD' } as const

/** Number of elements, of a string its bytes; undefined if there is no such key. @throws StepRefused for other types */
export async function lengthOf(
  reader: Reader,
  name: Buffer,
): Promise<{ type: keyof typeof LENGTHS; length: number } | undefined> {
  const type = String(await read(reader, 'TYPE', name))
  if (type === 'none' || type === 'null') return undefined
  if (!(type in LENGTHS)) throw new StepRefused(`${name} is a ${type}, which no queue has`)
  const known = type as keyof typeof LENGTHS
  return { type: known, length: Number(await read(reader, LENGTHS[known], name)) }
}

/**
 * What makes the key anew, in pieces. It must not change meanwhile. An element may come twice, as SCAN has it, but for lists
 * and strings, which are read by place.
 */
export async function* piecesOf(source: Reader, { name, bytes }: KeyToCopy): AsyncGenerator<Write> {
  const found = await lengthOf(source, name)
  if (!found) return
  const { type, length } = found
  const each = Math.max(1, Math.floor(PIECE_BYTES / Math.max(1, bytes / Math.max(1, length))))
  switch (type) {
    case 'string':
      for (let at = 0; at < length; at += PIECE_BYTES) {
        const piece = (await read(source, 'GETRANGE', name, at, at + PIECE_BYTES - 1)) as Buffer
        yield ['APPEND', name, piece]
      }
      return
    case 'list':
      for (let at = 0; at < length; at += each)
        yield ['RPUSH', name, ...((await read(source, 'LRANGE', name, at, at + each - 1)) as Buffer[])]
      return
    case 'set':
      for await (const items of scan(source, 'SSCAN', name, each)) yield ['SADD', name, ...items]
      return
    case 'hash':
      for await (const items of scan(source, 'HSCAN', name, each)) yield ['HSET', name, ...items]
      return
    case 'zset':
      for await (const items of scan(source, 'ZSCAN', name, each)) yield ['ZADD', name, ...scoresFirst(items)]
  }
}

async function* scan(source: Reader, command: string, name: Buffer, count: number): AsyncGenerator<Buffer[]> {
  let cursor: Buffer | string = '0'
  let least = count
  do {
    const reply = await read(source, command, name, cursor, 'COUNT', least)
    // Its time has run out.
    if (reply === null) return
    const [next, items] = reply as [Buffer, Buffer[]]
    cursor = next
    if (items.length > 0) yield items
    // The sizes were a guess.
    if (items.reduce((sum, item) => sum + item.length, 0) > 2 * PIECE_BYTES) least = Math.max(1, least >> 1)
  } while (String(cursor) !== '0')
}

function scoresFirst(items: readonly Buffer[]): Buffer[] {
  const turned: Buffer[] = []
  for (let i = 0; i + 1 < items.length; i += 2) turned.push(items[i + 1] as Buffer, items[i] as Buffer)
  return turned
}
