import { hash32 } from './hash.js'
import { type PartitionKeys, partitionKeys } from './keys.js'
import { partitionSlots, tagForSlot } from './slots.js'

export { partitionSlots }

export interface Partition {
  readonly index: number
  readonly slot: number
  readonly keys: PartitionKeys
}

export function makePartitions(queue: string, count: number): Partition[] {
  return partitionSlots(queue, count).map((slot, index) => ({
    index,
    slot,
    keys: partitionKeys(queue, tagForSlot(slot)),
  }))
}

/** Partition of a task with a key: the same one for the same key, as long as the queue lives. */
export function partitionOfKey(key: string, count: number): number {
  return hash32(key) % count
}

/**
 * The order in which partitions are visited: neighbours in slot space sit on the same master, so the walk
 * takes golden-section strides and meets every master within a few steps, whatever their number.
 */
export function visitingOrder(count: number): number[] {
  let stride = Math.max(1, Math.round(count * 0.618))
  while (gcd(stride, count) !== 1) stride++
  return Array.from({ length: count }, (_, step) => (step * stride) % count)
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b)
}
