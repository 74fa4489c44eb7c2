import { setTimeout as sleep } from 'node:timers/promises'

/** Repeats `look` until `isIt` likes what it saw. @throws with the last thing seen, after `timeoutMs` (default 20 s) */
export async function until<T>(
  what: string,
  look: () => Promise<T>,
  isIt: (seen: T) => boolean,
  timeoutMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const seen = await look()
    if (isIt(seen)) return seen
    if (performance.now() > deadline)
      throw new Error(`${what}: not so after ${timeoutMs} ms: ${JSON.stringify(seen)}`)
    await sleep(50)
  }
}
