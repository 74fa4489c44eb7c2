/**
 * When something that happened all the time before the strike happened again: the end of the longest pause that ended
 * after it. Not simply the first one after the strike, for answers that were under way still come in then.
 * @param times ascending, in ms
 * @param endMs until when it would have gone on
 * @returns null when it never did
 */
export function endOfSilence(times: readonly number[], strikeMs: number, endMs: number): number | null {
  let longest = 0
  let ended: number | null = null
  let previous = strikeMs
  for (const atMs of times) {
    if (atMs > endMs) break
    if (atMs > strikeMs && atMs - previous > longest) {
      longest = atMs - previous
      ended = atMs
    }
    if (atMs > strikeMs) previous = atMs
  }
  // It stopped for good, rather than between two events of its usual rate.
  return endMs - previous > Math.max(longest, STOPPED_MS) ? null : ended
}

const STOPPED_MS = 2_000

/** The longest time in which it did not happen, between two moments. */
export function longestSilence(times: readonly number[], fromMs: number, toMs: number): number {
  let longest = 0
  let previous = fromMs
  for (const atMs of times) {
    if (atMs <= fromMs) continue
    longest = Math.max(longest, Math.min(atMs, toMs) - previous)
    if (atMs >= toMs) return longest
    previous = atMs
  }
  return Math.max(longest, toMs - previous)
}
