import type { Reason } from '../ledger/index.js'
import type { DrillKind } from './options.js'

/** What a drill found out, and its JSON document. Times are milliseconds; null: it did not happen, or nobody saw it. */
export interface DrillReport {
  readonly kind: DrillKind
  readonly passed: boolean
  readonly checks: readonly Check[]
  readonly cluster: {
    readonly nodes: number
    readonly masters: number
    readonly nodeTimeoutMs: number
    /** Whether its processes are ours, and were struck by signals. */
    readonly local: boolean
  }
  readonly struck: {
    readonly master: string
    readonly replicas: readonly string[]
    readonly slots: number
    /** The master of the shard after the drill. */
    readonly masterAfter: string | null
  }
  readonly load: {
    readonly queue: string
    readonly rate: number
    readonly enqueued: number
    readonly acknowledged: number
    readonly rejected: number
    readonly keysLeft: number
    readonly heldInTheEnd: number | null
  }
  /** As seen by asking the nodes every 20 ms. */
  readonly failover: FailoverTimes
  /** The same by the servers' own logs; null where these are not ours to read. */
  readonly byServerLogs: (FailoverTimes & { readonly votingMs: number | null }) | null
  readonly client: ClientTimes
  readonly stall: Stall
  readonly shards: readonly ShardRate[]
  readonly ledger: {
    readonly lost: readonly string[]
    readonly acknowledgedTwice: readonly string[]
    readonly deliveredTwice: number
    readonly deliveredTwiceBy: Readonly<Partial<Record<Reason, number>>>
    readonly deliveredTwiceWithKey: number
    readonly completedTwice: readonly string[]
    /** Two runs of one task at the same time, without a reason: with a key any two, without one two first attempts. */
    readonly atOnce: readonly string[]
    /** Enqueues and runs under way when a node was struck: the most that may run twice. */
    readonly inFlight: number
  }
  /** What the structural checker found when the load had ended; null where the queue has none. */
  readonly structure: readonly string[] | null
  /** Rejected or refused although their shard was not the struck one. */
  readonly errorsOnOtherShards: number
  /** What queue and worker complained of in the background. */
  readonly complaints: readonly string[]
  readonly notes: readonly string[]
}

export interface Check {
  readonly check: string
  readonly passed: boolean
  readonly found: string
}

export interface FailoverTimes {
  /** From the strike until the cluster flags the master FAIL. */
  readonly detectionMs: number | null
  /** From FAIL until a replica says that it is master, with the slots. */
  readonly electionMs: number | null
  /** From the strike until then. */
  readonly promotionMs: number | null
}

export interface ClientTimes {
  /** From the strike until a task that waited on the struck shard ran. */
  readonly runsAgainMs: number | null
  /** From the promotion until then; 0 where the client was quicker than our polling. */
  readonly afterPromotionMs: number | null
  /** From the strike until a task with a key of the struck shard was acknowledged: needs a replica, so the old master. */
  readonly keyedAcknowledgedMs: number | null
  /** From the strike until every node agreed again, and every replica was linked. */
  readonly wholeMs: number | null
}

/** Enqueues from the first deed of the fault until the cluster was whole again; without a key unless it says so. */
export interface Stall {
  readonly enqueues: number
  readonly longestMs: number
  readonly p99Ms: number
  readonly limitMs: number
  readonly rejected: number
  readonly longestWithKeyMs: number
  readonly rejectedWithKey: number
  /** Longest time in which none at all was acknowledged. */
  readonly noneAcknowledgedMs: number
}

/** Tasks acknowledged per second by what each master had before the strike. */
export interface ShardRate {
  readonly master: string
  readonly struck: boolean
  readonly beforePerS: number
  /** From the strike until a replica was promoted, or the cluster whole. */
  readonly duringPerS: number
}
