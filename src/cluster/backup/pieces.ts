import type { NodeLink } from '../link.js'

type Command = readonly [command: string, ...args: (string | number | Buffer)[]]

/** A part of a key's value: how it is written to another server, and how that is asked whether it has it. */
export interface Piece {
  readonly write: Command
  readonly ask: Command
  isSame(reply: unknown): boolean
}

/** About so many bytes, and at most so many elements, make a piece: for no more than that does a server stand still. */
const PIECE_BYTES = 1024 * 1024
const MOST_ELEMENTS = 2_000

/** Which command tells how long a value of this type is. Those that are not here are copied in one piece. */
const LENGTH: Readonly<Record<string, string>> = {
  string: 'STRLEN',
  list: 'LLEN',
  hash: 'HLEN',
  set: 'SCARD',
  zset: 'ZCARD',
}

export const isDivisible = (type: string) => type in LENGTH

/** Elements, or bytes of a string. */
export async function lengthOf(link: NodeLink, type: string, key: Buffer): Promise<number> {
  return Number(await link.bytes(LENGTH[type] ?? 'STRLEN', key))
}

/**
 * A value in pieces. Its elements are compared one by one with what the other server has of them, as their order, and so DUMP,
 * differs from server to server; that it has no others the length has to tell.
 */
export async function* piecesOf(link: NodeLink, type: string, key: Buffer): AsyncGenerator<Piece> {
  const length = await lengthOf(link, type, key)
  const bytes = Number(await link.bytes('MEMORY', 'USAGE', key))
  const step = Math.max(1, Math.min(MOST_ELEMENTS, Math.floor((PIECE_BYTES * length) / Math.max(bytes, 1))))
  switch (type) {
    case 'string':
      return yield* ofString(link, key, length)
    case 'list':
      return yield* ofList(link, key, length, step)
    default:
      return yield* ofTable(link, type, key, step)
  }
}

async function* ofString(link: NodeLink, key: Buffer, length: number): AsyncGenerator<Piece> {
  for (let at = 0; at < length; at += PIECE_BYTES) {
    const part = (await link.bytes('GETRANGE', key, at, at + PIECE_BYTES - 1)) as Buffer
    yield {
      write: ['SETRANGE', key, at, part],
      ask: ['GETRANGE', key, at, at + PIECE_BYTES - 1],
      isSame: (reply) => Buffer.isBuffer(reply) && reply.equals(part),
    }
  }
}

async function* ofList(link: NodeLink, key: Buffer, length: number, step: number): AsyncGenerator<Piece> {
  for (let at = 0; at < length; at += step) {
    const range = [key, at, at + step - 1] as const
    const items = (await link.bytes('LRANGE', ...range)) as Buffer[]
    yield {
      write: ['RPUSH', key, ...items],
      ask: ['LRANGE', ...range],
      isSame: (reply) => sameItems(reply as Buffer[], items),
    }
  }
}

async function* ofTable(link: NodeLink, type: string, key: Buffer, step: number): AsyncGenerator<Piece> {
  const scan = type === 'hash' ? 'HSCAN' : type === 'set' ? 'SSCAN' : 'ZSCAN'
  let cursor = '0'
  do {
    const [next, flat] = (await link.bytes(scan, key, cursor, 'COUNT', step)) as [Buffer, Buffer[]]
    cursor = String(next)
    if (flat.length === 0) continue
    yield type === 'set' ? ofMembers(key, flat) : ofPairs(type, key, flat)
  } while (cursor !== '0')
}

const ofMembers = (key: Buffer, members: readonly Buffer[]): Piece => ({
  write: ['SADD', key, ...members],
  ask: ['SMISMEMBER', key, ...members],
  isSame: (reply) => (reply as unknown[]).every((held) => Number(held) === 1),
})

function ofPairs(type: string, key: Buffer, flat: readonly Buffer[]): Piece {
  const names = flat.filter((_, i) => i % 2 === 0)
  const values = flat.filter((_, i) => i % 2 === 1)
  if (type === 'hash')
    return {
      write: ['HSET', key, ...flat],
      ask: ['HMGET', key, ...names],
      isSame: (reply) => sameItems(reply as (Buffer | null)[], values),
    }
  return {
    write: ['ZADD', key, ...names.flatMap((name, i) => [String(values[i]), name])],
    ask: ['ZMSCORE', key, ...names],
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
