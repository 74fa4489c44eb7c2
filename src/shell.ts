import { visible } from './visible.js'

/** Nothing of it means anything to a shell, wherever it stands in a word; `=` and `~` do at its beginning. */
const PLAIN = /^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$/

/** A name or a path as one word of a command that people paste into a shell. */
export function shellWord(text: string): string {
  if (PLAIN.test(text)) return text
  if (visible(text) === text) return `'${text.replaceAll("'", "'\\''")}'`
  // As bash, zsh and ksh read it: what cannot be seen is told byte by byte.
  const shown = text.replaceAll(/['\\]/g, '\\$&')
  return `$'${[...shown].map((char) => (visible(char) === char ? char : bytesOf(char))).join('')}'`
}

/** The same as the last argument of a shardq command, where a minus would begin an option. */
export const lastArgument = (text: string): string =>
  text.startsWith('-') ? `-- ${shellWord(text)}` : shellWord(text)

const bytesOf = (char: string) =>
  [...Buffer.from(char)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
