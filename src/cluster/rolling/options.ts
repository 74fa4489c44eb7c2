import type { RedisServer } from '../find-server.js'
import type { LinkOptions } from '../link.js'
import type { RunOptions } from '../operation/agreed.js'
import type { RollNode } from './standing.js'
import type { RollStep } from './steps.js'

export interface RollingOptions extends LinkOptions {
  /** The folder of a local cluster, whose nodes we stop and start ourselves. */
  readonly dataDir?: string
  /** Of a local cluster: the server to restart to, a binary or its folder. Default: each node its own. */
  readonly redisPath?: string
  /** Elsewhere: what restarts a node; `{host}`, `{port}` and `{id}` are filled in. */
  readonly restartCommand?: string
  /** Elsewhere: SHUTDOWN is enough, since a service manager starts it again. */
  readonly supervised?: boolean
  /** Masters get their shards back in the end. Default false: each costs a second failover. */
  readonly restoreRoles?: boolean
  /**
   * First, every node writes down what it was told by CONFIG SET and ACL SETUSER. Refused where that would write over edits of its files, as far
   * as those can be seen. Default false.
   */
  readonly rewrite?: boolean
  /** What a node comes back with is right: it is told nothing again of what it may have been told before. Default false. */
  readonly acceptFiles?: boolean
  /** Begin anew, whatever was broken off. Default false. */
  readonly anew?: boolean
  /** Longest wait for a node to be back and for the cluster to be whole after each step, in ms. Default 120,000. */
  readonly comeBackMs?: number
  /** Longest wait for a cluster that is not in order, before each step, in ms. Default 10,000. */
  readonly settleMs?: number
  /** Ends it after the step under way. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RollProgress) => void
}

export type RollProgress =
  | { readonly state: 'begun'; readonly step: RollStep; readonly words: string }
  | { readonly state: 'done'; readonly step: RollStep; readonly ms: number }
  | { readonly state: 'note'; readonly text: string }

export interface RollReport {
  readonly steps: readonly { readonly step: RollStep; readonly ms: number }[]
  /** Names of the nodes that are done, those of an earlier run included. */
  readonly done: readonly string[]
  readonly left: readonly string[]
  readonly interrupted: boolean
}

/** What is going to be done, and a function that does it. */
export interface PlannedRoll {
  /** When the one began that this goes on with; null: it begins anew. */
  readonly continues: string | null
  /** To what the nodes are restarted; null: to what they are. */
  readonly server: RedisServer | null
  readonly nodes: readonly RollNode[]
  readonly steps: readonly { readonly step: RollStep; readonly words: string }[]
  /**
   * Looks once more, and goes on if no node would be restarted that was not agreed to.
   * @throws PlanChangedError before anything was done; RollingStoppedError; what `withOperation` throws
   */
  run(options?: RunOptions): Promise<RollReport>
}

export const DEFAULTS = { comeBackMs: 120_000, settleMs: 10_000 } as const
