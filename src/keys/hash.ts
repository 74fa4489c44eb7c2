/**
 * 32-bit hash of the UTF-8 bytes of `text`: FNV-1a, then the finalizer of MurmurHash3, since FNV alone leaves names
 * that differ in their last letter close together. Stable for ever: partitions of keyed tasks depend on it.
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text, 'utf8')) {
    hash = Math.imul(hash ^ byte, 0x01000193)
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
