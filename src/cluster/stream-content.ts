import { type Reader, read } from './read.js'
import { fieldOf, text } from './replies.js'

/** Entries, and pending ones, that are read in one call. */
const PAGE = 1_000
/** What is the same on servers of all versions; how long ago a consumer was seen is not, and passes. */
const OF_STREAM = ['length', 'last-generated-id', 'max-deleted-entry-id', 'entries-added']
const OF_GROUP = ['name', 'last-delivered-id', 'entries-read', 'pending']
const OF_CONSUMER = ['name', 'pending']

/**
 * Whether a stream is the same on both, with its groups, their consumers, and what is pending. By content: the first byte of its DUMP is
 * another in each version of the format (15, 19, 21), so equal streams of two versions have different dumps.
 */
export async function isSameStream(a: Reader, b: Reader, key: Buffer): Promise<boolean> {
  const [ofA, ofB] = [partsOf(a, key), partsOf(b, key)]
  for (;;) {
    const [partA, partB] = await Promise.all([ofA.next(), ofB.next()])
    if (partA.done !== partB.done || partA.value !== partB.value) return false
    if (partA.done) return true
  }
}

/** In an order that both have. */
async function* partsOf(reader: Reader, key: Buffer): AsyncGenerator<string> {
  yield text(chosen(await read(reader, 'XINFO', 'STREAM', key), OF_STREAM))
  for (let from = '-'; ; ) {
    const entries = (await read(reader, 'XRANGE', key, from, '+', 'COUNT', PAGE)) as [Buffer, unknown][]
    yield text(entries)
    const [last] = entries.at(-1) ?? []
    if (!last || entries.length < PAGE) break
    from = `(${last}`
  }
  const groups = (await read(reader, 'XINFO', 'GROUPS', key)) as unknown[]
  yield text(groups.map((group) => text(chosen(group, OF_GROUP))).sort())
  for (const name of groups.map((group) => fieldOf(group, 'name') as Buffer).sort(Buffer.compare)) {
    const consumers = (await read(reader, 'XINFO', 'CONSUMERS', key, name)) as unknown[]
    yield text(consumers.map((consumer) => text(chosen(consumer, OF_CONSUMER))).sort())
    yield* pendingOf(reader, key, name)
  }
}

/** Which entry whom was given, and how often. */
async function* pendingOf(reader: Reader, key: Buffer, group: Buffer): AsyncGenerator<string> {
  for (let from = '-'; ; ) {
    const pending = (await read(reader, 'XPENDING', key, group, from, '+', PAGE)) as [
      Buffer,
      Buffer,
      number,
      number,
    ][]
    yield text(pending.map(([id, consumer, , times]) => [id, consumer, times]))
    const [last] = pending.at(-1) ?? []
    if (!last || pending.length < PAGE) return
    from = `(${last}`
  }
}

const chosen = (fields: unknown, names: readonly string[]) =>
  names.map((name) => fieldOf(fields, name) ?? null)
