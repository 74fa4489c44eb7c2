/**
 * Many strings as one argument of a script: each ends in a NUL, which neither an id nor JSON has. Lua takes them apart in
 * one call (`struct.unpack`), and the client and the server are spared the handling of thousands of arguments.
 */
export interface Strings {
  readonly text: string | Buffer
  readonly count: number
}

/** From so many characters on, strings are written to the place that they are sent from, and not joined before. */
const LARGE = 4_096
/** Shorter ones are joined to pieces of this size: a call for each would cost more than the joining. */
const PIECE = 1_024

/**
 * `reserve` gives the place for many bytes. With it, large texts are copied once from the strings to where the socket takes them
 * from; joined, and then made part of a command, and then encoded, they would be copied three times, into new memory each time.
 */
export function pack(strings: readonly (string | number)[], reserve?: (bytes: number) => Buffer): Strings {
  const count = strings.length
  if (count === 0) return { text: '', count }
  if (reserve) {
    let length = 0
    for (const one of strings) length += typeof one === 'string' ? one.length : 0
    if (length >= LARGE) return { text: write(piecesOf(strings), reserve), count }
  }
  return { text: `${strings.join('\0')}\0`, count }
}

function piecesOf(strings: readonly (string | number)[]): string[] {
  const pieces: string[] = []
  let pending = ''
  for (const one of strings) {
    const string = String(one)
    if (string.length < PIECE) {
      pending += string
    } else {
      if (pending !== '') pieces.push(pending)
      pieces.push(string)
      pending = ''
    }
    pending += '\0'
    if (pending.length < PIECE) continue
    pieces.push(pending)
    pending = ''
  }
  if (pending !== '') pieces.push(pending)
  return pieces
}

function write(pieces: readonly string[], reserve: (bytes: number) => Buffer): Buffer {
  const lengths = pieces.map((piece) => Buffer.byteLength(piece))
  const buffer = reserve(lengths.reduce((sum, bytes) => sum + bytes, 0))
  let at = 0
  pieces.forEach((piece, i) => {
    const bytes = lengths[i] ?? 0
    // As long in bytes as in characters: ASCII, which latin1 copies without looking at it.
    buffer.write(piece, at, bytes, bytes === piece.length ? 'latin1' : 'utf8')
    at += bytes
  })
  return buffer
}

export function unpack({ text }: Strings): string[] {
  return text.length === 0 ? [] : text.toString().slice(0, -1).split('\0')
}
