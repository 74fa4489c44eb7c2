import { ConnectionLostError, NodeUnreachableError } from './errors.js'
import { type Address, type LinkOptions, withLink } from './link.js'

/** SHUTDOWN waits 10 s for replicas by default (shutdown-timeout). */
const SHUTDOWN_MS = 15_000

/**
 * Asks a server to end. Its connection breaks when it obeys; an answer is a refusal.
 * @param how `NOSAVE`, `NOW`, `FORCE`; none: in good order, with its data on disk
 * @throws the refusal; NodeUnreachableError when it was not there, or is silent for 15 s; AuthenticationError
 */
export async function askToEnd(
  node: Address,
  access: LinkOptions,
  how: readonly string[] = [],
): Promise<void> {
  await withLink(node, { ...access, timeoutMs: SHUTDOWN_MS }, async (link) => {
    try {
      await link.text('SHUTDOWN', ...how)
    } catch (error) {
      if (error instanceof ConnectionLostError) return
      if (error instanceof NodeUnreachableError || isRefusal(error)) throw error
    }
  })
}

/** The server's own word, `ERR Errors trying to SHUTDOWN`, and not that the connection broke. */
export const isRefusal = (error: unknown) => /^[A-Z]+ /.test((error as Error).message)
