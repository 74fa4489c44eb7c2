/** FNV-1a, 32 bits, of the UTF-8 bytes of `text`. Stable for ever: partitions of keyed tasks depend on it. */
export function fnv1a(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) {
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  return hash >>> 0
}
