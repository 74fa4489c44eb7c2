/**
 * Many strings as one argument of a script: each ends in a NUL, which neither an id nor JSON has. Lua takes them apart in
 * one call (`struct.unpack`), and the client and the server are spared the handling of thousands of arguments.
 */
export interface Strings {
  readonly text: string
  readonly count: number
}

export function pack(strings: readonly (string | number)[]): Strings {
  return { text: strings.length === 0 ? '' : `${strings.join('\0')}\0`, count: strings.length }
}

export function unpack({ text }: Strings): string[] {
  return text === '' ? [] : text.slice(0, -1).split('\0')
}
