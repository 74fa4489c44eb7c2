import type { Written } from '../connection/host.js'
import { shellWord } from '../shell.js'
import type { LinkOptions } from './link.js'

/** What to type to say something to a node by hand; the password and certificates are added by whoever types it. */
export const redisCli = ({ host, port }: Written, { tls }: Pick<LinkOptions, 'tls'>, command = '') =>
  ['redis-cli', '-h', shellWord(host), '-p', port, ...(tls ? ['--tls'] : []), command].join(' ').trim()

/** The name of a key as redis-cli reads it at its prompt: between quotes where it has spaces in it, or bytes that cannot be seen. */
export function typedKey(name: Buffer): string {
  const text = name.toString('latin1')
  if (/^[\w.:{}/@+-]+$/.test(text)) return text
  const bytes = [...text].map((byte) =>
    /[\x20-\x7e]/.test(byte)
      ? byte.replace(/["\\]/, '\\$&')
      : `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
  return `"${bytes.join('')}"`
}
