/**
 * One operation at a time that changes a cluster. Two moves of the same slot, or a restart of the node that keys are being
 * moved to, would each undo what the other relies on.
 *
 * The lock is a key in the cluster itself, `shardq:operation`, which says who holds it and is renewed while the operation runs:
 * - Held by another: refused, with what runs where and since when.
 * - Held by a process of this host that is no more (kill -9): taken over at once.
 * - By one of another host that is no more: its lease runs out, 20 s after it was last renewed.
 * - Not renewed for the length of the lease, or found in another's hands: the operation is told to end, and none of its commands is
 *   sent any more, so that one which stood still (SIGSTOP, a suspended machine) does nothing beside the next one. What was sent before
 *   and not answered is not carried out late: its connection is closed first (`fence.ts`).
 * - Its node fails over, or its slot is moved: it follows. What a failover forgets is written again at the next renewal;
 *   between the two, 5 s at most, another operation could begin, so a replica is asked to confirm it first.
 * - It cannot be written, since its slot is not served: `cluster fix` goes on without, everything else refuses.
 */
import type { Address, LinkFence, LinkOptions } from '../link.js'
import { type Settled, settleOwed } from '../owed/settle.js'
import type { Unpaid } from '../owed/unpaid.js'
import { Fence } from './fence.js'
import { OperationLock } from './lock.js'

export type { Holder } from './holder.js'

export interface OperationOptions {
  /** What is done, as on the command line: `rebalance`. */
  readonly name: string
  /**
   * How long the lock outlives a holder that cannot be seen, in ms. Default 20,000: a failover of the node that keeps it takes up
   * to 9 s with a cluster-node-timeout of 5 s, and is to be survived.
   */
  readonly leaseMs?: number
  /** Longest wait for a cluster that does not take the lock, in ms. Default 10,000. */
  readonly patienceMs?: number
  /** Given, the operation goes on without a lock where none can be had, after this was told why. */
  readonly onUnlocked?: (why: Error) => void
  /**
   * What operations that were cut off owe to nodes (`src/cluster/owed`) is given back first, so that what this one finds is what
   * somebody wanted. Default true; false of `fix`, which shows it and asks. Never without the lock.
   */
  readonly settles?: boolean
}

/** A cluster that is to be mended is not waited for long to take a lock. */
const MENDING_PATIENCE_MS = 1_000

/** Of an operation that a cluster which takes no lock may need to be mended: it goes on without. */
export const evenUnlocked = (
  name: string,
  onUnlocked: ((why: Error) => void) | undefined,
): OperationOptions => ({
  name,
  patienceMs: MENDING_PATIENCE_MS,
  onUnlocked: (why) => onUnlocked?.(why),
})

/** What an operation works with while the lock is its own. To be spread into the options of all that it calls. */
export interface Held {
  /** Fires with the caller's own, and when the lock is lost; the operation is to end then after the step under way. */
  readonly signal: AbortSignal
  /** The fence: a command is only sent while the lock is ours. See `LinkOptions`. */
  readonly mayCall: () => void
  /** No command of which no answer came is carried out later. See `LinkOptions`. */
  readonly fence: LinkFence
  /** Whether there is a lock. Without one, another operation may be under way, and what it has lent is not ours to give back. */
  readonly isLocked: boolean
  /** What was given back first. */
  readonly settled: readonly Settled[]
  /** What was to be given back and could not be; also what this operation has lent, from when that is found. */
  readonly unpaid: readonly Unpaid[]
  /** Adds to it. */
  readonly onUnpaid: (unpaid: Unpaid) => void
}

/**
 * Runs something that changes a cluster while nothing else does.
 * @throws OperationInProgressError when something else runs; LockUnavailableError when the cluster does not take the lock;
 *   OperationLostError when it was lost on the way, with what `run` failed with as its cause; AuthenticationError; what `run` throws
 */
export async function withOperation<Result>(
  seeds: readonly Address[],
  access: LinkOptions,
  options: OperationOptions,
  signal: AbortSignal | undefined,
  run: (held: Held) => Promise<Result>,
): Promise<Result> {
  const lock = new OperationLock(seeds, access, options)
  const ending = signal ? AbortSignal.any([signal, lock.lost]) : lock.lost
  try {
    await lock.acquire(signal)
    const mayCall = () => lock.mustHold()
    const { isLocked } = lock
    const fence = new Fence(isLocked)
    const unpaid: Unpaid[] = []
    const settles = isLocked && options.settles !== false
    const onUnpaid = (each: Unpaid) => void unpaid.push(each)
    const settled = settles ? await settleOwed(seeds, { ...access, mayCall, fence }, onUnpaid) : []
    const result = await run({ signal: ending, mayCall, fence, isLocked, settled, unpaid, onUnpaid })
    lock.throwIfLost()
    return result
  } catch (error) {
    // A process that stood still wakes to time-outs of its own, before any timer has said that the lock is gone.
    lock.mustHold(error)
    throw error
  } finally {
    await lock.release()
  }
}
