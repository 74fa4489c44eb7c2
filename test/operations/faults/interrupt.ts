import { once, setMaxListeners } from 'node:events'

/** Ctrl-C, or the end of whoever started the run: processes that carry an operation out are killed, and their servers with them. */
export const interrupt = new AbortController()
// Each process under way listens.
setMaxListeners(0, interrupt.signal)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupt.abort())

/** @throws when the run is interrupted first */
export async function unlessInterrupted<T>(work: Promise<T>): Promise<T> {
  const { signal } = interrupt
  signal.throwIfAborted()
  const done = new AbortController()
  const interrupted = once(signal, 'abort', { signal: done.signal }).then(
    () => signal.throwIfAborted(),
    () => undefined,
  )
  try {
    await Promise.race([work, interrupted])
    return await work
  } finally {
    done.abort()
  }
}
