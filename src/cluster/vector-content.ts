import { type Reader, read } from './read.js'
import { fieldOf, text } from './replies.js'

/** Elements whose vectors are read at once. */
const PAGE = 500
/** What is the same on every server; ids that it counts itself, and how deep its graph is, are not. */
const OF_SET = ['quant-type', 'vector-dim', 'projection-input-dim', 'hnsw-m', 'attributes-count', 'size']

/**
 * Whether a vector set (Redis 8.0) is the same on both: its form, its elements, each with its vector as it is stored and its attributes. Not by
 * DUMP: it holds the elements in the order in which they were put there, and each load turns that round. The graph between
 * them is made anew by whoever has them, and decides only how well a search does.
 */
export async function isSameVectorSet(a: Reader, b: Reader, key: Buffer): Promise<boolean> {
  const [formA, formB] = await Promise.all([formOf(a, key), formOf(b, key)])
  if (formA === null || formA !== formB) return false
  const [elements, elementsB] = await Promise.all([elementsOf(a, key), elementsOf(b, key)])
  if (!isSameList(elements, elementsB)) return false
  for (let at = 0; at < elements.length; at += PAGE) {
    const page = elements.slice(at, at + PAGE)
    const [ofA, ofB] = await Promise.all([valuesOf(a, key, page), valuesOf(b, key, page)])
    if (!ofA.every((value, i) => value === ofB[i])) return false
  }
  return true
}

/** Null: there is none. */
async function formOf(reader: Reader, key: Buffer): Promise<string | null> {
  const info = await read(reader, 'VINFO', key)
  return info === null ? null : text(OF_SET.map((name) => fieldOf(info, name) ?? null))
}

/** In an order that both have. Asked for as many as there are, a server tells each of them once. */
async function elementsOf(reader: Reader, key: Buffer): Promise<readonly Buffer[]> {
  const count = Number(await read(reader, 'VCARD', key))
  return ((await read(reader, 'VRANDMEMBER', key, count)) as Buffer[]).sort(Buffer.compare)
}

const isSameList = (a: readonly Buffer[], b: readonly Buffer[]) =>
  a.length === b.length && a.every((element, i) => b[i]?.equals(element))

const valuesOf = (reader: Reader, key: Buffer, elements: readonly Buffer[]): Promise<readonly string[]> =>
  Promise.all(
    elements.map(async (element) =>
      text(
        await Promise.all([
          read(reader, 'VEMB', key, element, 'RAW'),
          read(reader, 'VGETATTR', key, element),
        ]),
      ),
    ),
  )
