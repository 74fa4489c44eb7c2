import { type Reader, read } from '../read.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'
import { type KeyToCopy, lengthOf, PIECE_BYTES, piecesOf, type Write } from './pieces.js'
import { copiesKey, partitionTag } from './queue-keys.js'
import { Importer } from './write.js'

export interface CopyProgress {
  readonly keys: number
  readonly bytes: number
}

/** Small keys that are copied in one flight. */
const FLIGHT_KEYS = 100

/**
 * Copies keys of a closed partition to a node that imports its slot; the owner keeps them all. Each is noted on the new node
 * before it is made there, so that what is broken off can be cleared away (copies.ts). Neither node is held up for longer than
 * a piece takes.
 * @throws StepRefused when a copy is not what was copied, or no replica keeps up; what a node fails with
 */
export async function copyKeys(
  nodes: Nodes,
  { from, to }: { readonly from: Party; readonly to: Party },
  keys: readonly KeyToCopy[],
  { signal, onProgress }: { signal?: AbortSignal | undefined; onProgress?: (progress: CopyProgress) => void },
): Promise<'copied' | 'interrupted'> {
  const source: Reader = { link: await nodes.link(from), asking: false }
  const importer = await Importer.on(await nodes.link(to), to.name)
  const target: Reader = { link: importer.link, asking: true }
  let done: CopyProgress = { keys: 0, bytes: 0 }
  for (const flight of flightsOf(keys)) {
    if (signal?.aborted) return 'interrupted'
    await nodes.expectRoom(
      to,
      flight.reduce((sum, { bytes }) => sum + bytes, 0),
    )
    await note(importer, flight)
    const [first] = flight
    if (flight.length === 1 && first && first.bytes > PIECE_BYTES) {
      const base = done
      const onBytes = (bytes: number) => onProgress?.({ keys: base.keys, bytes: base.bytes + bytes })
      if ((await copyBig(source, importer, first, { signal, onBytes })) === 'interrupted')
        return 'interrupted'
      await expectSame(source, target, first.name)
    } else {
      await copySmall(source, importer, flight)
    }
    done = {
      keys: done.keys + flight.length,
      bytes: flight.reduce((sum, { bytes }) => sum + bytes, done.bytes),
    }
    onProgress?.(done)
  }
  await importer.confirm()
  return 'copied'
}

/** Big keys alone, small ones together. */
function* flightsOf(keys: readonly KeyToCopy[]): Generator<KeyToCopy[]> {
  let flight: KeyToCopy[] = []
  let bytes = 0
  for (const key of keys) {
    if (flight.length > 0 && (bytes + key.bytes > PIECE_BYTES || flight.length === FLIGHT_KEYS)) {
      yield flight
      flight = []
      bytes = 0
    }
    flight.push(key)
    bytes += key.bytes
  }
  if (flight.length > 0) yield flight
}

async function note(importer: Importer, keys: readonly KeyToCopy[]): Promise<void> {
  const byTag = new Map<string, Buffer[]>()
  for (const { name } of keys) {
    const tag = partitionTag(name) ?? ''
    byTag.set(tag, [...(byTag.get(tag) ?? []), name])
  }
  await importer.write([...byTag].map(([tag, names]): Write => ['SADD', copiesKey(tag), ...names]))
}

/** As the server packs them; times to live to the millisecond. */
async function copySmall(source: Reader, importer: Importer, keys: readonly KeyToCopy[]): Promise<void> {
  const packed = await inFlights(keys, ({ name }) =>
    Promise.all([read(source, 'PEXPIRETIME', name), read(source, 'DUMP', name)]),
  )
  const writes = packed.flatMap(([expiry, dump], i): Write[] => {
    const { name } = keys[i] as KeyToCopy
    // Its time has run out meanwhile.
    if (!Buffer.isBuffer(dump)) return []
    return [['RESTORE', name, Math.max(0, Number(expiry)), dump, 'ABSTTL']]
  })
  await importer.write(writes)
}

/** The next piece is read while one is written. */
async function copyBig(
  source: Reader,
  importer: Importer,
  key: KeyToCopy,
  { signal, onBytes }: { signal?: AbortSignal | undefined; onBytes: (bytes: number) => void },
): Promise<'copied' | 'interrupted'> {
  let bytes = 0
  let writing: Promise<unknown> = Promise.resolve()
  for await (const write of piecesOf(source, key)) {
    await writing
    if (signal?.aborted) return 'interrupted'
    writing = importer.write([write])
    // Looked at when the next piece is there; by then it may have failed for long.
    writing.catch(() => {})
    for (const arg of write) bytes += typeof arg === 'object' ? arg.length : 0
    onBytes(Math.min(bytes, key.bytes))
  }
  await writing
  const expiry = Number(await read(source, 'PEXPIRETIME', key.name))
  if (expiry > 0) await importer.write([['PEXPIREAT', key.name, expiry]])
  return 'copied'
}

async function expectSame(source: Reader, target: Reader, name: Buffer): Promise<void> {
  const [here, there] = await Promise.all([lengthOf(source, name), lengthOf(target, name)])
  if (here && (here.type !== there?.type || here.length !== there.length))
    throw new StepRefused(
      `${name} has ${here.length} elements, its copy ${there?.length ?? 0}: it has changed meanwhile, ` +
        'so a client is at work that is older than this tool',
      'update all clients of the queue, then again',
    )
}
