import {
  type Command,
  type DivisibleType,
  isDivisible,
  lengthOf as length,
  piecesOf as pieces,
} from '../pieces.js'
import { type Reader, read } from '../read.js'
import { StepRefused } from './party.js'

/** One command for the node that gets the key. */
export type Write = Command

/** Bytes that are read or written in one command: about a millisecond of a server's time, on either side. */
export const PIECE_BYTES = 256 * 1024

/** A key as it is to be copied. */
export interface KeyToCopy {
  readonly name: Buffer
  /** By MEMORY USAGE. */
  readonly bytes: number
}

/** Number of elements, of a string its bytes; undefined if there is no such key. @throws StepRefused for other types */
export async function lengthOf(
  reader: Reader,
  name: Buffer,
): Promise<{ type: DivisibleType; length: number } | undefined> {
  const type = String(await read(reader, 'TYPE', name))
  if (type === 'none' || type === 'null') return undefined
  if (!isDivisible(type)) throw new StepRefused(`${name} is a ${type}, which no queue has`)
  return { type, length: await length(reader, type, name) }
}

/** What makes the key anew, in pieces. It must not change meanwhile. */
export async function* piecesOf(source: Reader, key: KeyToCopy): AsyncGenerator<Write> {
  const found = await lengthOf(source, key.name)
  if (!found) return
  for await (const { write } of pieces(source, { ...key, ...found }, { bytes: PIECE_BYTES })) yield write
}
