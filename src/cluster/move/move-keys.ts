import { megabytes } from '../../megabytes.js'
import { type Reader, read } from '../read.js'
import { redisCli } from '../redis-cli.js'
import { confirmAll } from './confirm.js'
import { isSame } from './content.js'
import { inFlights } from './flights.js'
import { type Batch, migrate } from './migrate.js'
import type { Nodes } from './nodes.js'
import { type Party, StepRefused } from './party.js'

export interface MigrateOptions {
  /** MIGRATE blocks both nodes for as long as the largest key takes. Above so many bytes it is refused... */
  readonly bigKeyBytes: number
  /** ...unless that is wanted. */
  readonly bigKeys: boolean
  readonly signal?: AbortSignal | undefined
  readonly onKeys?: (moved: number) => void
}

/** Keys of one slot on the way from one node to another. */
export interface Move {
  readonly slot: number
  readonly from: Party
  readonly to: Party
  /** Whose copy clients have been using, where a key is on both; the other imports the slot. */
  readonly serves: 'from' | 'to'
}

/** Keys and bytes of one MIGRATE, or of those that are sent together, for which others wait. */
export const BATCH_KEYS = 100
export const BATCH_BYTES = 4 * 1024 * 1024
/** Times in a row that keys may turn up at the other end before we give in. */
const MOST_BUSY = 3

/**
 * Looks whether the move can be made: no key too big, none on both nodes with different content. One that is on both and the
 * same (content.ts) was left by a MIGRATE that was cut off; the copy that nobody uses is removed.
 * @param names keys to look at, default all of the slot
 * @throws StepRefused naming the keys
 */
export async function clearWay(
  nodes: Nodes,
  move: Move,
  options: MigrateOptions,
  names?: readonly Buffer[],
): Promise<void> {
  const { from, to, slot, serves } = move
  const source: Reader = { link: await nodes.link(from), asking: serves === 'to' }
  const target: Reader = { link: await nodes.link(to), asking: serves === 'from' }
  const all = names ?? (await nodes.keyNames(from, slot, await nodes.countKeys(from, slot)))
  const sizes = await sizesOf(source, all)
  refuseBigKeys(all, sizes, move, options)
  const there = await inFlights(all, async (name) => Number(await read(target, 'EXISTS', name)) === 1)
  const doubles = all.filter((_, i) => there[i])
  const [used, unused] = serves === 'from' ? [source, target] : [target, source]
  const same: Buffer[] = []
  const different: Buffer[] = []
  for (const name of doubles)
    if (await isSame(used, unused, name, 'whether')) same.push(name)
    // Its time may have run out, and then there is only one.
    else if (Number(await read(used, 'EXISTS', name)) === 1) different.push(name)
  if (different.length > 0) throw refuseDifferent(different, move)
  if (same.length === 0) return
  // The other copy may have come a moment ago. Of a slot that is leaving, it has been there all the while.
  if (serves === 'to') await confirmAll(nodes, to, slot)
  for (const name of same) await read(unused, 'UNLINK', name)
}

/**
 * Moves all keys of the slot; or these, which are all that come into question. The old node forgets what the new one has taken, so the
 * replicas of that one are waited for before the first, after each call, and before anybody claims the slot: if it dies, what one call has moved
 * is all that may be lost.
 */
export async function moveKeys(
  nodes: Nodes,
  move: Move,
  options: MigrateOptions,
  named?: readonly Buffer[],
): Promise<'moved' | 'interrupted'> {
  const source: Reader = { link: await nodes.link(move.from), asking: move.serves === 'to' }
  let moved = 0
  let busy = 0
  await confirmAll(nodes, move.to, move.slot)
  for (;;) {
    if (options.signal?.aborted) return 'interrupted'
    const names = named
      ? named.slice(moved, moved + BATCH_KEYS)
      : await nodes.keyNames(move.from, move.slot, BATCH_KEYS)
    if (names.length === 0) return 'moved'
    const sizes = await sizesOf(source, names)
    refuseBigKeys(names, sizes, move, options)
    const batch = takeBatch(names, sizes)
    const end = await migrate(nodes, move, [batch])
    await confirmAll(nodes, move.to, move.slot)
    if (end === 'busy') {
      if (++busy > MOST_BUSY) throw new StepRefused(`keys of it appear on ${move.to.name} again and again`)
      await clearWay(nodes, move, options, batch.names)
      continue
    }
    busy = 0
    moved += batch.names.length
    options.onKeys?.(moved)
  }
}

function takeBatch(names: readonly Buffer[], sizes: readonly number[]): Batch {
  let bytes = sizes[0] ?? 0
  let count = 1
  for (; count < names.length; count++) {
    const size = sizes[count] ?? 0
    if (bytes + size > BATCH_BYTES) break
    bytes += size
  }
  return { names: names.slice(0, count), bytes }
}

export async function sizesOf(reader: Reader, names: readonly Buffer[]): Promise<number[]> {
  return inFlights(names, async (name) => Number((await read(reader, 'MEMORY', 'USAGE', name)) ?? 0))
}

function refuseBigKeys(
  names: readonly Buffer[],
  sizes: readonly number[],
  { from }: Move,
  options: MigrateOptions,
): void {
  if (options.bigKeys) return
  const big = names.flatMap((name, i) => {
    const size = sizes[i] ?? 0
    return size > options.bigKeyBytes ? [`${name} (${megabytes(size)})`] : []
  })
  if (big.length === 0) return
  throw new StepRefused(
    `${some(big)} on ${from.name} is over ${megabytes(options.bigKeyBytes)}; both nodes stand still while it is moved, ` +
      'and count as dead if that takes longer than cluster-node-timeout',
    'when a pause is no harm, the same command with --big-keys',
  )
}

function refuseDifferent(names: readonly Buffer[], { slot, from, to, serves }: Move): StepRefused {
  const [used, unused] = serves === 'from' ? [from, to] : [to, from]
  const remove = (party: Party, first: string) => `printf '${first}DEL %s\\n' KEY | ${redisCli(party, {})}`
  return new StepRefused(
    `${some(names.map(String))} is on ${from.name} and on ${to.name}, and not the same; clients have been using that on ${used.name}`,
    `decide for each; to keep that on ${used.name}: ` +
      `${remove(unused, `CLUSTER SETSLOT ${slot} IMPORTING ${used.id}\\nASKING\\n`)} ; ` +
      `to keep that on ${unused.name}: ${remove(used, '')} ; then again: shardq cluster fix`,
  )
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ')
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown
}
