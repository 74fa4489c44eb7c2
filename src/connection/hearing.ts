import type { Redis } from 'ioredis'

/** When something was heard from a server, on whichever of its sockets. One object for all sockets of a node. */
export interface Hearing {
  /** performance.now() */
  heardAtMs: number
}

/** What of a socket's output has not left this process. Each number falls, or at least changes, while something leaves. */
export interface Unsent {
  /** Bytes that wait in Node. */
  readonly waiting: number
  /** Bytes that the operating system has not taken yet. */
  readonly leaving: number
}

const NOTHING: Unsent = { waiting: 0, leaving: 0 }

export function unsentOf(stream: Redis['stream']): Unsent {
  const waiting = stream.writableLength
  if (waiting === 0) return NOTHING
  // Node knows how much of a large write has left, and tells it here alone; its own idle time-out looks at the same number.
  const { _handle: handle } = stream as unknown as { _handle?: { writeQueueSize?: number } | null }
  return { waiting, leaving: handle?.writeQueueSize ?? 0 }
}

export const isUnsent = ({ waiting }: Unsent) => waiting > 0

/** Whether something has left between two looks. */
export function hasMoved(before: Unsent, now: Unsent): boolean {
  return isUnsent(before) && (now.waiting < before.waiting || now.leaving !== before.leaving)
}
