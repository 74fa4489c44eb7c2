import type { Nodes } from './nodes.js'
import { keys, type Party } from './party.js'
import { refusalOf } from './room.js'

/** For a MIGRATE of nothing; and bytes that a ms is allowed for, a tenth of what is usual on a local network. */
const MIGRATE_MS = 5_000
const BYTES_PER_MS = 10_000
/** What comes takes this much for a moment: the value, and the message that brings it. */
const BYTES_PER_BYTE = 2

/** Keys of one slot. */
export interface Batch {
  readonly names: readonly Buffer[]
  readonly bytes: number
}

/**
 * One MIGRATE for each batch, all in one round trip, and one such after the other, so that others have their turn in between.
 * Before it and after it the other end is asked whether it throws keys away (room.ts): those that have gone there nobody else has.
 * @returns busy when a key was there already; it is here as well, then
 * @throws StepRefused
 */
export async function migrate(
  nodes: Nodes,
  { from, to }: { readonly from: Party; readonly to: Party },
  batches: readonly Batch[],
): Promise<'moved' | 'busy'> {
  const { username, password } = nodes.access
  const auth =
    password === undefined ? [] : username === undefined ? ['AUTH', password] : ['AUTH2', username, password]
  const bytes = batches.reduce((sum, batch) => sum + batch.bytes, 0)
  const timeoutMs = MIGRATE_MS + Math.ceil(bytes / BYTES_PER_MS)
  const ends = await nodes.patiently(from, timeoutMs + MIGRATE_MS, async (link) => {
    // In its turn: what was sent before it, of other slots, has taken its room by now.
    await nodes.expectRoom(to, bytes * BYTES_PER_BYTE)
    return Promise.allSettled(
      batches
        .filter(({ names }) => names.length > 0)
        .map(({ names }) =>
          link.bytes('MIGRATE', to.host, to.port, '', 0, timeoutMs, ...auth, 'KEYS', ...names),
        ),
    )
  })
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [(end.reason as Error).message] : []))
  const serious = failures.find((message) => !message.includes('BUSYKEY'))
  if (serious !== undefined) {
    const count = batches.reduce((sum, { names }) => sum + names.length, 0)
    throw refusalOf(to, `${from.name} could not hand ${keys(count)} to ${to.name}`, serious)
  }
  await nodes.expectKept(to)
  return failures.length === 0 ? 'moved' : 'busy'
}
