import { createHash, randomBytes } from 'node:crypto'

/** Digits of an identity: some 62 bits. */
const DIGITS = 12

/**
 * What a producer is known by in its partitions. Made of more than random bytes: a process that was cloned with all its memory
 * has the same random generator as its twin, but hardly ever the same clock to the nanosecond.
 */
export function newIdentity(): string {
  const hash = createHash('sha256').update(randomBytes(16))
  hash.update(`${process.pid} ${process.hrtime.bigint()} ${Date.now()}`)
  return hash.digest().readBigUInt64BE().toString(36).padStart(DIGITS, '0').slice(-DIGITS)
}
