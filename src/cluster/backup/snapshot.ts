import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ShardqError } from '../../errors.js'
import { isRefusal, refusalOf } from '../../rights/refusal.js'
import { BackupRefusedError, InterruptedError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, reachedAt } from '../link.js'

/** Why a node did not give us its snapshot, or not all of it. */
export class SnapshotFault extends Error {}

export interface SnapshotOptions extends LinkOptions {
  /** Longest wait for the snapshot to begin, in ms: a save or a rewrite that is under way is waited for. Default 10 min. */
  readonly beginMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface Snapshot {
  /** Ms since 1970. The snapshot is of a moment between these two. */
  readonly askedAtMs: number
  readonly begunAtMs: number
  /** The RDB, as it comes. Fails with SnapshotFault unless it comes to its end. */
  readonly chunks: AsyncIterable<Buffer>
  close(): void
}

const BEGIN_MS = 600_000
/** A node says something at least every 10 s (repl-ping-replica-period), and gives up after 60 s (repl-timeout) itself. */
const SILENCE_MS = 60_000
const MARK_BYTES = 40

/**
 * Has a node send its data as to a replica, and only its data (`rdb-only`): no stream of writes follows, so nothing is
 * buffered for us however long it takes, and as we acknowledge nothing, no WAIT and no min-replicas-to-write counts us.
 * The node forks, and sends over the connection; its disk is not touched (`capa eof`) unless it has
 * repl-diskless-sync no, which is looked at before (own-disk.ts).
 * @throws SnapshotFault; BackupRefusedError where there is no SYNC; AuthenticationError, InterruptedError
 */
export async function openSnapshot(address: Address, options: SnapshotOptions): Promise<Snapshot> {
  const name = nameOf(address)
  const socket = await open(address, options)
  const reader = new SocketReader(socket)
  const onAbort = () => socket.destroy(new InterruptedError('the backup'))
  options.signal?.addEventListener('abort', onAbort, { once: true })
  const close = () => {
    options.signal?.removeEventListener('abort', onAbort)
    socket.destroy()
  }
  const beginMs = options.beginMs ?? BEGIN_MS
  const late = setTimeout(
    () =>
      socket.destroy(new Error(`it did not begin within ${beginMs} ms; is a save under way for so long?`)),
    beginMs,
  )
  try {
    // The server refuses SYNC while an answer is on its way, so each is waited for.
    const { username, password } = options
    if (password !== undefined)
      await ask(reader, socket, name, ['AUTH', ...(username === undefined ? [] : [username]), password])
    await ask(reader, socket, name, ['REPLCONF', 'capa', 'eof'])
    await ask(reader, socket, name, ['REPLCONF', 'rdb-only', '1'])
    const askedAtMs = Date.now()
    const header = await ask(reader, socket, name, ['SYNC'])
    return { askedAtMs, begunAtMs: Date.now(), chunks: chunksOf(reader, header, name), close }
  } catch (error) {
    close()
    throw explain(error, name)
  } finally {
    clearTimeout(late)
  }
}

async function open(address: Address, options: LinkOptions): Promise<Socket> {
  const { tls, timeoutMs = 5_000 } = options
  const { host, port } = reachedAt(address, options)
  const at = { host, port }
  const socket = tls ? connectTls({ ...at, ...(tls === true ? {} : tls) }) : connect({ ...at })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.setTimeout(timeoutMs, () => reject(new Error(`no connection within ${timeoutMs} ms`)))
      socket.once('error', reject).once(tls ? 'secureConnect' : 'connect', () => resolve())
    })
  } catch (error) {
    socket.destroy()
    throw explain(error, nameOf(address))
  }
  socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error(`nothing came for ${SILENCE_MS} ms`)))
  return socket
}

async function ask(
  reader: SocketReader,
  socket: Socket,
  name: string,
  command: readonly string[],
): Promise<string> {
  const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`)
  socket.write(`*${command.length}\r\n${parts.join('')}`)
  const line = await reader.line()
  if (!line.startsWith('-')) return line
  const answer = line.slice(1)
  const error = new Error(answer)
  if (isRefusal(error)) throw refusalOf(name, error)
  if (!/unknown command/i.test(answer)) throw new SnapshotFault(`${name} refuses ${command[0]}: ${answer}`)
  throw new BackupRefusedError([
    `${name} has no ${command[0]}, by which a replica is given its data (a hosted service? take its own snapshot)`,
  ])
}

/** `$EOF:<mark>`: until the mark comes, which ends the data; `$<n>`: n bytes, where the server has saved to disk first. */
async function* chunksOf(reader: SocketReader, header: string, name: string): AsyncGenerator<Buffer> {
  try {
    if (header.startsWith('$EOF:')) yield* untilMark(reader, Buffer.from(header.slice(5)))
    else if (/^\$\d+$/.test(header)) yield* reader.take(Number(header.slice(1)))
    else throw new SnapshotFault(`${name} answers SYNC with ${JSON.stringify(header)}`)
  } catch (error) {
    throw explain(error, name)
  }
}

async function* untilMark(reader: SocketReader, mark: Buffer): AsyncGenerator<Buffer> {
  let held: Buffer = Buffer.alloc(0)
  for (;;) {
    const all = Buffer.concat([held, await reader.some()])
    const end = Math.max(0, all.length - MARK_BYTES)
    held = all.subarray(end)
    if (end > 0) yield all.subarray(0, end)
    if (held.equals(mark)) return
  }
}

function explain(error: unknown, name: string): Error {
  if (error instanceof SnapshotFault || error instanceof ShardqError) return error
  return new SnapshotFault(`the snapshot of ${name} broke off: ${(error as Error).message}`, { cause: error })
}

/** Bytes of a socket as they are asked for. */
class SocketReader {
  readonly #chunks: AsyncIterator<Buffer>
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#chunks = socket[Symbol.asyncIterator]()
  }

  /** At least one byte. @throws what the socket failed with, or that it was closed */
  async some(): Promise<Buffer> {
    if (this.#rest.length > 0) {
      const rest = this.#rest
      this.#rest = Buffer.alloc(0)
      return rest
    }
    const { value, done } = await this.#chunks.next()
    if (done) throw new Error('the node closed the connection')
    return value
  }

  /** The next line that is not empty: those are signs of life. */
  async line(): Promise<string> {
    let text = ''
    for (;;) {
      const chunk = await this.some()
      const end = chunk.indexOf('\n')
      if (end === -1) {
        text += chunk.toString('latin1')
        continue
      }
      this.#rest = chunk.subarray(end + 1)
      text = (text + chunk.toString('latin1', 0, end)).trim()
      if (text !== '') return text
    }
  }

  async *take(count: number): AsyncGenerator<Buffer> {
    for (let left = count; left > 0; ) {
      const chunk = await this.some()
      this.#rest = chunk.subarray(left)
      const part = chunk.subarray(0, left)
      left -= part.length
      yield part
    }
  }
}
