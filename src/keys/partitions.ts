import { hash32 } from './hash.js'
import { type PartitionKeys, partitionKeys } from './keys.js'
import { SLOT_COUNT, tagForSlot } from './slots.js'

export interface Partition {
  readonly index: number
  readonly slot: number
  readonly keys: PartitionKeys
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
