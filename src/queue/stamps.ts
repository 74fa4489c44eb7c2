/** Digits of a stamp: microseconds since 1970 in base 36, enough until the year 2085. */
const STAMP_DIGITS = 10
/** Digits of a name's place within its batch: 1,296 names, and a batch has 500 tasks at most. */
const PLACE_DIGITS = 2

/**
 * Stamps of batches, each above the one before: microseconds of wall clock. They tell apart the batches, and the names, of two
 * processes that were cloned with all their memory, and sort as text in the order in which they were given.
 */
export class Stamps {
  #last = 0

  next(): string {
    this.#last = Math.max(this.#last + 1, wallClockUs())
    return this.#last.toString(36).padStart(STAMP_DIGITS, '0')
  }
}

/** The system's clock, which a resumed machine sets, to the millisecond; below that, any clock will do. */
function wallClockUs(): number {
  return Date.now() * 1_000 + (Math.floor(performance.now() * 1_000) % 1_000)
}

/**
 * Ids for one batch: `<partition>.<stamp><producer><place>`, all but the partition of fixed width. So those of one partition and
 * producer are in the order of naming when sorted by length and then as text, from batch to batch and within each.
 */
export function namesFor(partition: number, stamp: string, producerId: string): () => string {
  const prefix = `${partition.toString(36)}.${stamp}${nameOfProducer(producerId)}`
  let place = 0
  return () => prefix + (place++).toString(36).padStart(PLACE_DIGITS, '0')
}

/**
 * As much of a producer's identity as ids carry: every byte of them waits in a master's memory. Two producers that have this in
 * common would have to name tasks in the same microsecond for the same partition, and that one would notice (enqueue.lua).
 */
function nameOfProducer(producerId: string): string {
  return producerId.slice(0, 6)
}
