import type { Target } from './target.js'

/** What a worker tells of a task: as in the ledger. */
export interface ConsumerEvents {
  run(token: string, id: string): void
  ran(token: string, id: string): void
  completed(token: string, id: string): void
  refused(token: string, id: string, error: Error): void
}

/**
 * The queue that a drill loads: what it needs to know of one, so that the same drill can be held with another queue in
 * its place.
 */
export interface QueueUnderTest {
  readonly name: string
  /** For one in five tasks, spread over all shards; none where a queue has no such thing. */
  readonly keys: readonly { readonly key: string; readonly struck: boolean }[]
  open(): Promise<void>
  consume(events: ConsumerEvents): Promise<void>
  enqueue(token: string, options: { readonly key?: string; readonly delayMs?: number }): Promise<string>
  /** Address of the master that had a task's place before the strike. */
  masterOf(id: string): string
  /** Tasks that it still holds, in whatever state. @throws when a shard cannot be asked */
  held(): Promise<number>
  /** What is wrong with how its tasks are stored, in lines; null where a queue cannot tell. @throws when a shard cannot be asked */
  structure(): Promise<readonly string[] | null>
  /** What it complained of in the background. */
  readonly complaints: readonly string[]
  /** Ends consuming and producing, in bounded time. Safe to call twice, and unopened. */
  close(): Promise<void>
  /** Removes all keys. @returns how many are left; not 0 only where a node cannot be reached */
  removeKeys(): Promise<number>
}

export type QueueFactory = (target: Target) => QueueUnderTest
