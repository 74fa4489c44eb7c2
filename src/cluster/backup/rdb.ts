import { createHash } from 'node:crypto'
import { Crc64 } from './crc64.js'

/** What an RDB file says of itself, once its end has been seen. */
export interface RdbFacts {
  /** Of the format. A server reads those up to its own. */
  readonly version: number
  /** Of the server that wrote it, `7.0.15`; empty where it does not say. */
  readonly server: string
  readonly bytes: number
  readonly sha256: string
  /** Keys, those among them whose time was over but that were not yet removed; null where its head does not say. */
  readonly keys: number | null
  /** Keys with a time to live. */
  readonly expiring: number | null
  /** How far the server's log of writes was at that moment; null where it does not say. */
  readonly offset: number | null
  /** False where the server writes no checksum (`rdbchecksum no`), so that damage on the way is not noticed. */
  readonly checksummed: boolean
}

/** An RDB that is cut off or damaged. */
export class RdbFault extends Error {}

const CHECKSUM_BYTES = 8
/** Functions stand before the counts, and may be long. Further than this they are not looked for. */
const MOST_HEAD_BYTES = 8 * 1024 * 1024

/** Reads an RDB piece by piece: its head, its end and its checksum. What the values are, only a server can say. */
export class RdbReader {
  readonly #sha = createHash('sha256')
  readonly #crc = new Crc64()
  #head: Buffer = Buffer.alloc(0)
  #found: Head | undefined
  /** The last bytes are the checksum, which is not part of what it is of. */
  #tail: Buffer = Buffer.alloc(0)
  #lastByte = 0
  #bytes = 0

  push(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#sha.update(chunk)
    if (!this.#found && this.#head.length < MOST_HEAD_BYTES) {
      this.#head = Buffer.concat([this.#head, chunk])
      this.#found = readHead(this.#head)
    }
    const all = this.#tail.length === 0 ? chunk : Buffer.concat([this.#tail, chunk])
    const end = Math.max(0, all.length - CHECKSUM_BYTES)
    if (end > 0) {
      this.#crc.update(all.subarray(0, end))
      this.#lastByte = all[end - 1] ?? 0
    }
    this.#tail = Buffer.from(all.subarray(end))
  }

  /** @throws RdbFault */
  end(): RdbFacts {
    const magic = /^REDIS(\d{4})/.exec(this.#head.toString('latin1', 0, 9))
    if (!magic) throw new RdbFault('it is not an RDB file')
    if (this.#lastByte !== OPCODE.end)
      throw new RdbFault('it does not end as an RDB file does: it is cut off')
    const checksummed = this.#tail.some((byte) => byte !== 0)
    if (checksummed && !this.#tail.equals(this.#crc.digest()))
      throw new RdbFault('its checksum (CRC64) is another: it is damaged')
    const { server = '', keys = null, expiring = null, offset = null } = this.#found ?? {}
    const sha256 = this.#sha.digest('hex')
    return {
      ...{ version: Number(magic[1]), server, bytes: this.#bytes, sha256, keys, expiring, offset },
      checksummed,
    }
  }
}

interface Head {
  readonly server: string
  readonly keys: number | null
  readonly expiring: number | null
  readonly offset: number | null
}

const OPCODE = { functions: 245, aux: 250, resize: 251, select: 254, end: 255 } as const

/** Undefined: more is needed. Of modules' own parts the length cannot be told, so behind them nothing is found. */
function readHead(bytes: Buffer): Head | undefined {
  const cursor = new Cursor(bytes, 9)
  let server = ''
  let offset: number | null = null
  try {
    for (;;) {
      switch (cursor.byte()) {
        case OPCODE.aux: {
          const [name, value] = [cursor.string(), cursor.string()]
          if (/^(redis|valkey)-ver$/.test(name)) server = value
          if (name === 'repl-offset') offset = Number(value)
          break
        }
        case OPCODE.functions:
          cursor.string()
          break
        case OPCODE.select:
          cursor.length()
          break
        case OPCODE.resize:
          return { server, offset, keys: cursor.length(), expiring: cursor.length() }
        case OPCODE.end:
          return { server, offset, keys: 0, expiring: 0 }
        default:
          return { server, offset, keys: null, expiring: null }
      }
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Reads lengths and strings as RDB has them. @throws RangeError behind the end */
class Cursor {
  constructor(
    private readonly bytes: Buffer,
    private at: number,
  ) {}

  byte(): number {
    return this.bytes.readUInt8(this.#take(1))
  }

  length(): number {
    const first = this.byte()
    if (first >> 6 === 0) return first
    if (first >> 6 === 1) return ((first & 0x3f) << 8) | this.byte()
    if (first === 0x80) return this.bytes.readUInt32BE(this.#take(4))
    return Number(this.bytes.readBigUInt64BE(this.#take(8)))
  }

  /** What is compressed is only passed over. */
  string(): string {
    const kind = this.bytes.readUInt8(this.at)
    if (kind === 0xc0) return this.#number(1)
    if (kind === 0xc1) return this.#number(2)
    if (kind === 0xc2) return this.#number(4)
    if (kind === 0xc3) {
      this.at++
      const compressed = this.length()
      this.length()
      this.#take(compressed)
      return ''
    }
    const length = this.length()
    const from = this.#take(length)
    return this.bytes.toString('utf8', from, from + length)
  }

  #number(size: number): string {
    this.at++
    return String(this.bytes.readIntLE(this.#take(size), size))
  }

  #take(count: number): number {
    const from = this.at
    if (from + count > this.bytes.length) throw new RangeError('more is needed')
    this.at += count
    return from
  }
}
