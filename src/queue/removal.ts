import type { Connection } from '../connection/connection.js'
import type { Command } from '../connection/socket.js'
import { QueueNotEmptyError, QueueUnavailableError } from '../errors.js'
import { countCopies, partitionKeyPattern, partitionKeyPrefix } from '../keys/keys.js'
import type { Partition } from '../keys/partitions.js'
import type { Depth } from './inspection.js'
import type { ResolvedQueueOptions } from './queue-options.js'
import { unregisterQueue } from './registry.js'

/** Most keys that are listed, and unlinked, by one call: some ms of a master. */
const KEYS_PER_CALL = 1_000
/** A call that unlinks fewer keys than this removes what has come back since the one before. */
const FEW_KEYS = 100
/** After so many of those, or so many rounds over all partitions, somebody is still writing. */
const MOST_FEW = 20
const MOST_ROUNDS = 4

/** @throws QueueNotEmptyError, which says how many tasks there are, and in which states */
export function mustBeEmpty(queue: string, { ready, active, scheduled, dead }: Depth): void {
  const states = { ready: ready.high + ready.medium + ready.low, active, scheduled, dead }
  const there = Object.entries(states).filter(([, count]) => count > 0)
  if (there.length === 0) return
  const total = there.reduce((sum, [, count]) => sum + count, 0)
  const detail = there.map(([state, count]) => `${count} ${state}`).join(', ')
  const problem = `it has ${total === 1 ? '1 task' : `${total} tasks`} (${detail}); drain it first, or delete it with them: { force: true }, shardq queue delete --force`
  throw new QueueNotEmptyError(queue, problem)
}

/**
 * Removes all keys of a queue. The number of its partitions, by which they are found, goes when all of them are empty, and its
 * name last: so what was broken off can be repeated.
 *
 * UNLINK names one key more that never exists, as the scripts do: where the slot is being moved it is refused, and copies of
 * these keys do not come back from there.
 */
export class Removal {
  readonly #prefix: string

  constructor(
    private readonly queue: string,
    private readonly parts: { readonly connection: Connection; readonly partitions: readonly Partition[] },
    private readonly options: ResolvedQueueOptions,
  ) {
    this.#prefix = partitionKeyPrefix(queue)
  }

  /** Makes sure, before anything is changed, that every shard is within reach, takes writes, and gives us the right. */
  async probe(): Promise<void> {
    await Promise.all(this.parts.partitions.map(({ slot, keys }) => this.#send(slot, ['UNLINK', keys.never])))
  }

  /** @throws QueueNotEmptyError if keys come back as fast as they go, QueueUnavailableError, NotPermittedError */
  async run(): Promise<void> {
    for (let round = 0; ; round++) {
      // Once more until nothing is found: a shard may have failed over in the midst, and keys have come back.
      const removed = await this.#removePartitions()
      if (round > 0 && removed === 0) break
      if (round === MOST_ROUNDS) throw this.#inUse()
    }
    // Beside each copy of the number of partitions stands what was written to have it confirmed.
    for (const { key, slot, keys } of countCopies(this.queue, this.options.connection.mode))
      await this.#unlink(slot, [key, keys.probe])
    await unregisterQueue(this.parts.connection, this.queue, this.options.enqueueTimeoutMs)
  }

  /** @returns how many keys there were */
  async #removePartitions(): Promise<number> {
    if (this.options.connection.mode === 'single') return this.#removeByScan()
    let removed = 0
    for (const partition of this.parts.partitions) removed += await this.#removeBySlot(partition)
    return removed
  }

  async #removeBySlot({ slot, keys }: Partition): Promise<number> {
    let removed = 0
    let few = 0
    let most = KEYS_PER_CALL
    for (;;) {
      // The first is refused by a node that does not own the slot, and would list what it has of it.
      const list = ['CLUSTER', 'GETKEYSINSLOT', slot, most] as const
      const [, listed] = await this.#send(slot, ['UNLINK', keys.never], list)
      const found = listed as string[]
      const ours = found.filter((key) => key.startsWith(this.#prefix) && key !== keys.paused)
      if (ours.length > 0) {
        if (ours.length < FEW_KEYS && few++ === MOST_FEW) throw this.#inUse()
        for (let at = 0; at < ours.length; at += KEYS_PER_CALL)
          await this.#send(slot, ['UNLINK', ...ours.slice(at, at + KEYS_PER_CALL), keys.never])
        removed += ours.length
      } else if (found.length < most) break
      // Keys of others come first, and always the same ones.
      else most *= 4
    }
    // It hands out nothing until it has nothing.
    removed += await this.#unlink(slot, [keys.paused, keys.never])
    return removed
  }

  /** A single server has no lists of keys by slot: all its keys are walked through, some at a time. */
  async #removeByScan(): Promise<number> {
    const { partitions } = this.parts
    const pauses = partitions.map(({ keys }) => keys.paused)
    let removed = 0
    let cursor = '0'
    do {
      const page = ['SCAN', cursor, 'MATCH', partitionKeyPattern(this.queue), 'COUNT', KEYS_PER_CALL] as const
      const [reply] = await this.#send(0, page)
      const [next, found] = reply as [string, string[]]
      const [first, ...others] = found.filter((key) => !pauses.includes(key))
      if (first !== undefined) removed += await this.#unlink(0, [first, ...others])
      cursor = next
    } while (cursor !== '0')
    return removed + (await this.#unlink(0, pauses))
  }

  /** Unlinks keys, and waits for all replicas to hear of what was unlinked on this master. @returns how many there were */
  async #unlink(slot: number, keys: readonly string[]): Promise<number> {
    const { connection } = this.parts
    const unlink = ['UNLINK', ...keys] as const
    const owner = connection.topology.ownerOf(slot)
    const confirms = this.options.connection.mode === 'cluster' && this.options.durability !== 'async'
    const replicas = owner ? connection.topology.replicasOf(owner).length : 0
    if (!confirms || !owner || replicas === 0) return Number((await this.#send(slot, unlink))[0])
    const deadlineMs = performance.now() + this.options.enqueueTimeoutMs
    const waitMs = Math.ceil(connection.commandTimeoutMs / 2)
    let removed = 0
    for (;;) {
      const [count, confirmed] = await this.#send(slot, unlink, ['WAIT', replicas, waitMs])
      removed += Number(count)
      if (Number(confirmed) >= replicas) return removed
      if (performance.now() > deadlineMs) {
        const problem = `not every replica of ${owner.name} confirms what was deleted there; delete it again when they do`
        throw new QueueUnavailableError(this.queue, problem)
      }
    }
  }

  #send(slot: number, ...commands: readonly Command[]): Promise<unknown[]> {
    const timeoutMs = this.options.enqueueTimeoutMs
    return this.parts.connection.commands(this.queue, slot, commands, { lane: 'inspect', timeoutMs })
  }

  #inUse(): QueueNotEmptyError {
    const problem = 'keys come back as fast as they go; stop its producers and workers, and delete it again'
    return new QueueNotEmptyError(this.queue, problem)
  }
}
