/** What a fake server answers: RESP2 (https://redis.io/docs/latest/develop/reference/protocol-spec/). */
export type Reply = string | number | null | readonly Reply[] | FakeError | Simple | Bytes

/** An error reply; its first word is its kind. */
export class FakeError {
  constructor(readonly text: string) {}
}

export class Simple {
  constructor(readonly text: string) {}
}

/** Sent as they are, after which the connection ends: a reply that is cut off, or none at all. */
export class Bytes {
  constructor(readonly text: string) {}
}

export const OK = new Simple('OK')

export function encode(reply: Reply): string {
  if (reply === null) return '$-1\r\n'
  if (typeof reply === 'number') return `:${reply}\r\n`
  if (typeof reply === 'string') return `$${Buffer.byteLength(reply)}\r\n${reply}\r\n`
  if (reply instanceof FakeError) return `-${reply.text}\r\n`
  if (reply instanceof Simple) return `+${reply.text}\r\n`
  if (reply instanceof Bytes) return reply.text
  return `*${reply.length}\r\n${reply.map(encode).join('')}`
}

/** Reads commands (arrays of bulk strings) out of a stream of bytes. */
export class CommandReader {
  #bytes = Buffer.alloc(0)

  /** @returns the commands that are complete by now */
  read(chunk: Buffer): string[][] {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    const commands: string[][] = []
    for (;;) {
      const command = this.#next()
      if (!command) return commands
      commands.push(command)
    }
  }

  #next(): string[] | undefined {
    let at = 0
    const line = (): string | undefined => {
      const end = this.#bytes.indexOf('\r\n', at)
      if (end < 0) return undefined
      const text = this.#bytes.toString('utf8', at, end)
      at = end + 2
      return text
    }
    const count = line()
    if (count === undefined) return undefined
    const words: string[] = []
    for (let i = 0; i < Number(count.slice(1)); i++) {
      const length = line()
      if (length === undefined) return undefined
      const bytes = Number(length.slice(1))
      if (this.#bytes.length < at + bytes + 2) return undefined
      words.push(this.#bytes.toString('utf8', at, at + bytes))
      at += bytes + 2
    }
    this.#bytes = this.#bytes.subarray(at)
    return words
  }
}
