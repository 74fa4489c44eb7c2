import keySlot from 'cluster-key-slot'
import { hash32 } from './hash.js'

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

/**
 * The slots of a queue's partitions: one in each of `count` equal cells of the slot space, all at the same
 * place within their cell. The place comes from the queue's name, so that small queues do not share slots, and
 * keeps a tenth of a cell away from the edges: masters' boundaries fall on cell edges whenever the number of
 * masters divides `count`, and rounding must not push a partition over one.
 */
export function partitionSlots(queue: string, count: number): number[] {
  const place = 0.1 + 0.8 * (hash32(queue) / 2 ** 32)
  return Array.from({ length: count }, (_, index) => Math.floor(((index + place) * SLOT_COUNT) / count))
}
