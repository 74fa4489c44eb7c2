import keySlot from 'cluster-key-slot'

/** Number of hash slots of a Redis Cluster (cluster specification, "Key distribution model"). */
export const SLOT_COUNT = 16_384

/** Hash slot of a key: CRC16 of its hash tag, or of the whole key where it has none. */
export function slotOf(key: string): number {
  return keySlot(key)
}

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'
const tagBySlot = new Map<number, string>()
let tried = 0

/** The n-th string over 0-9a-z, shortest first: 0, 1, ..., z, 00, 01, ... */
function nthString(n: number): string {
  let text = ''
  for (let rest = n; rest >= 0; rest = Math.floor(rest / DIGITS.length) - 1) {
    text = DIGITS.charAt(rest % DIGITS.length) + text
  }
  return text
}

/**
 * The shortest string that hashes to `slot`, so that `{tag}` in a key puts it there. Same answer in every
 * process and version: keys on disk depend on it. Found by trying strings in order and remembered; the first
 * call for all partitions of a queue costs some milliseconds, once per process.
 */
export function tagForSlot(slot: number): string {
  for (;;) {
    const known = tagBySlot.get(slot)
    if (known !== undefined) return known
    const candidate = nthString(tried++)
    const found = slotOf(candidate)
    if (!tagBySlot.has(found)) tagBySlot.set(found, candidate)
  }
}
