import { claim, claimCopies } from './claim.js'
import { confirmAll } from './confirm.js'
import { dropCopies, noteMove } from './copies.js'
import { type CopyProgress, copyKeys } from './copy-keys.js'
import { takeLead, untilHeard } from './epoch.js'
import { restore, tellOwner } from './expect.js'
import { clearWay, type MigrateOptions, type Move, moveKeys, sizesOf } from './move-keys.js'
import type { Nodes } from './nodes.js'
import { NoReplicasError, type Party } from './party.js'
import type { KeyToCopy } from './pieces.js'
import { isCopiesKey, partitionTag } from './queue-keys.js'
import { takeBack } from './take-back.js'

export interface MoveSlotOptions extends MigrateOptions {
  /** Told as keys of the queue are copied; `onKeys` of all others. */
  readonly onCopied?: (progress: CopyProgress) => void
}

interface Contents {
  /** Keys of partitions; they are copied, and stay where they are until the slot has its new owner. */
  readonly queue: Buffer[]
  /** All others; they are moved key by key. */
  readonly others: Buffer[]
}

/**
 * Moves a slot with all that is in it. Both ends open, a partition of a queue is closed (queue-keys.ts), and of other keys the
 * owner sends whoever asks for one that it has not to where it may be, so no key can come to be on both.
 *
 * Broken off at any place it may be called again, or `shardq cluster fix`. By `signal` or a failure, it takes the slot back
 * where that can be done, so that partitions in it work on: not if keys have moved that are no queue's. Then it stays open.
 * @throws StepRefused, NodeUnreachableError, and what a node fails with
 */
export async function moveSlot(
  nodes: Nodes,
  { slot, from, to }: Pick<Move, 'slot' | 'from' | 'to'>,
  masters: readonly Party[],
  options: MoveSlotOptions,
): Promise<'moved' | 'interrupted'> {
  const move: Move = { slot, from, to, serves: 'from' }
  // Which may take a moment, and clients are not to wait for it.
  await untilHeard(nodes, to, await takeLead(nodes, to, masters), masters)
  const before = await nodes.openSlot(to, slot)
  await tellOwner(nodes, to, slot, from)
  await nodes.setSlot(to, slot, 'IMPORTING', from.id)
  try {
    await dropCopies(nodes, to, slot, await nodes.keyNames(to, slot), from)
    await clear(nodes, move, options)
    // Before clients are sent there.
    await confirmAll(nodes, to, slot)
  } catch (error) {
    await restore(nodes, to, slot, before)
    throw error
  }
  await nodes.setSlot(from, slot, 'MIGRATING', to.id).catch(async (error: Error) => {
    if (error instanceof NoReplicasError) await restore(nodes, to, slot, before)
    throw error
  })
  try {
    // What has come to be since, and from now on no more.
    const { queue, others } = await clear(nodes, move, options)
    const copies = await withSizes(nodes, from, queue)
    if ((await copy(nodes, move, copies, options)) === 'interrupted') {
      await takeBack(nodes, move)
      return 'interrupted'
    }
    // Half of them moved, the slot can neither be taken back nor given away, and its partitions would stay closed.
    const unstoppable = copies.length === 0 ? options : { ...options, signal: undefined }
    if (copies.length === 0 && others.length > 0) await noteMove(nodes, to, [slot])
    if ((await moveKeys(nodes, move, unstoppable, others)) === 'interrupted') {
      await takeBack(nodes, move)
      return 'interrupted'
    }
    if (copies.length > 0) await claimCopies(nodes, move, copies, masters)
    else await claim(nodes, move, masters)
    return 'moved'
  } catch (error) {
    await takeBack(nodes, move).catch(() => {})
    throw error
  }
}

/** @throws StepRefused when a key is too big, or on both sides and not the same */
async function clear(nodes: Nodes, move: Move, options: MoveSlotOptions): Promise<Contents> {
  const { slot, from, to } = move
  const contents = await contentsOf(nodes, from, slot)
  const there = new Set((await nodes.keyNames(to, slot)).map(String))
  const doubles = contents.queue.filter((name) => there.has(String(name)))
  const looked = [...contents.others, ...doubles]
  if (looked.length > 0) await clearWay(nodes, move, options, looked)
  return contents
}

async function contentsOf(nodes: Nodes, owner: Party, slot: number): Promise<Contents> {
  const names = await nodes.keyNames(owner, slot)
  await dropCopies(nodes, owner, slot, names, owner)
  const queue: Buffer[] = []
  const others: Buffer[] = []
  for (const name of names) {
    if (partitionTag(name) !== undefined) queue.push(name)
    else if (!isCopiesKey(name)) others.push(name)
  }
  return { queue, others }
}

async function withSizes(nodes: Nodes, owner: Party, names: readonly Buffer[]): Promise<KeyToCopy[]> {
  const sizes = await sizesOf({ link: await nodes.link(owner), asking: false }, names)
  return names.map((name, i) => ({ name, bytes: sizes[i] ?? 0 }))
}

async function copy(
  nodes: Nodes,
  move: Move,
  keys: readonly KeyToCopy[],
  { signal, onCopied }: MoveSlotOptions,
): Promise<'copied' | 'interrupted'> {
  if (keys.length === 0) return 'copied'
  return copyKeys(nodes, move, keys, { signal, ...(onCopied ? { onProgress: onCopied } : {}) })
}
