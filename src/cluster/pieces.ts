import { type Reader, read } from './read.js'

/** One command, with the key that it is for. */
export type Command = readonly [command: string, ...args: (string | number | Buffer)[]]

/** A part of a key's value: how it is written to another server, and how that is asked whether it has it. */
export interface Piece {
  readonly write: Command
  readonly ask: Command
  isSame(reply: unknown): boolean
}

/** How much makes a piece: for no more than that does a server stand still, on either side. A single element is never cut. */
export interface PieceSize {
  /** About so many; twice as much is common, since elements differ in size. */
  readonly bytes: number
  /** At most so many, where a table is not kept as one block of memory. Default: no limit. */
  readonly elements?: number
}

/** A key to be read in pieces. */
export interface Divisible {
  readonly name: Buffer
  readonly type: DivisibleType
  /** Number of elements, of a string its bytes. */
  readonly length: number
  /** By MEMORY USAGE. */
  readonly bytes: number
}

const LENGTHS = { string: 'STRLEN', list: 'LLEN', set: 'SCARD', hash: 'HLEN', zset: 'ZCARD' } as const

export type DivisibleType = keyof typeof LENGTHS

/** Others (streams, types of modules) are copied in one piece, or not at all. */
export const isDivisible = (type: string): type is DivisibleType => Object.hasOwn(LENGTHS, type)

/** Number of elements, of a string its bytes. */
export async function lengthOf(reader: Reader, type: DivisibleType, name: Buffer): Promise<number> {
  return Number(await read(reader, LENGTHS[type], name))
}

/**
 * A value in pieces, from which it can be made anew or compared. It must not change meanwhile; if its time runs out, they end. An
 * element may come twice, as SCAN has it, but for lists and strings, which are read by place. Elements are compared one by one with
 * what the other server has of them, as their order, and so DUMP, differs from server to server; that it has no others the length
 * has to tell.
 */
export async function* piecesOf(source: Reader, key: Divisible, size: PieceSize): AsyncGenerator<Piece> {
  const { type, length, bytes } = key
  const fitting = Math.floor((size.bytes * length) / Math.max(bytes, 1))
  const step = Math.max(1, Math.min(size.elements ?? Number.POSITIVE_INFINITY, fitting))
  switch (type) {
    case 'string':
      return yield* ofString(source, key, size.bytes)
    case 'list':
      return yield* ofList(source, key, step)
    default:
      for await (const items of scan(source, key, step, size.bytes))
        yield type === 'set' ? ofMembers(key.name, items) : ofPairs(type, key.name, items)
  }
}

async function* ofString(source: Reader, { name, length }: Divisible, bytes: number): AsyncGenerator<Piece> {
  for (let at = 0; at < length; at += bytes) {
    const range = [name, at, Math.min(at + bytes, length) - 1] as const
    const part = (await read(source, 'GETRANGE', ...range)) as Buffer | null
    if (part === null) return
    yield {
      write: ['SETRANGE', name, at, part],
      ask: ['GETRANGE', ...range],
      isSame: (reply) => Buffer.isBuffer(reply) && reply.equals(part),
    }
  }
}

async function* ofList(source: Reader, { name, length }: Divisible, step: number): AsyncGenerator<Piece> {
  for (let at = 0; at < length; at += step) {
    const range = [name, at, Math.min(at + step, length) - 1] as const
    const items = (await read(source, 'LRANGE', ...range)) as Buffer[] | null
    if (items === null) return
    yield {
      write: ['RPUSH', name, ...items],
      ask: ['LRANGE', ...range],
      isSame: (reply) => sameItems(reply as Buffer[], items),
    }
  }
}

const SCANS = { set: 'SSCAN', hash: 'HSCAN', zset: 'ZSCAN' } as const

async function* scan(
  source: Reader,
  { name, type }: Divisible,
  count: number,
  bytes: number,
): AsyncGenerator<Buffer[]> {
  let cursor: Buffer | string = '0'
  let least = count
  do {
    const reply = await read(source, SCANS[type as keyof typeof SCANS], name, cursor, 'COUNT', least)
    if (reply === null) return
    const [next, items] = reply as [Buffer, Buffer[]]
    cursor = next
    if (items.length > 0) yield items
    // The sizes were a guess.
    if (items.reduce((sum, item) => sum + item.length, 0) > 2 * bytes) least = Math.max(1, least >> 1)
  } while (String(cursor) !== '0')
}

const ofMembers = (name: Buffer, members: readonly Buffer[]): Piece => ({
  write: ['SADD', name, ...members],
  ask: ['SMISMEMBER', name, ...members],
  isSame: (reply) => (reply as unknown[]).every((held) => Number(held) === 1),
})

function ofPairs(type: DivisibleType, name: Buffer, flat: readonly Buffer[]): Piece {
  const fields = flat.filter((_, i) => i % 2 === 0)
  const values = flat.filter((_, i) => i % 2 === 1)
  if (type === 'hash')
    return {
      write: ['HSET', name, ...flat],
      ask: ['HMGET', name, ...fields],
      isSame: (reply) => sameItems(reply as (Buffer | null)[], values),
    }
  return {
    write: ['ZADD', name, ...fields.flatMap((field, i) => [String(values[i]), field])],
    ask: ['ZMSCORE', name, ...fields],
    // The two commands write the same number in different ways.
    isSame: (reply) =>
      (reply as unknown[]).every((score, i) => score !== null && sameScore(score, values[i])),
  }
}

const sameScore = (a: unknown, b: unknown) => scoreOf(a) === scoreOf(b)

/** `inf` is not what Number reads as infinite. */
const scoreOf = (text: unknown) => Number(String(text).replace(/inf$/, 'Infinity'))

const sameItems = (a: readonly (Buffer | null)[], b: readonly Buffer[]) =>
  a.length === b.length && b.every((item, i) => a[i]?.equals(item))
