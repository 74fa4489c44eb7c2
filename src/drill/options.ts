import type { Address, LocalCluster } from '../cluster/index.js'
import type { ClusterConnectionOptions } from '../connection/options.js'
import { InvalidOptionError } from '../errors.js'

/** From the gentlest on. A failover by request is first also because it is refused soon after an election. */
export const DRILL_KINDS = ['failover', 'restart', 'kill', 'freeze', 'replica-lag'] as const

/**
 * - `failover`: a replica takes over by CLUSTER FAILOVER, in good order, and then hands the shard back
 * - `restart`: the master ends in good order and comes back before it is missed
 * - `kill`: the master ends at once, as in a crash; a replica is elected, and the old master comes back as a replica
 * - `freeze`: the master answers nothing, keeps its connections, and runs on when a replica is in its place
 * - `replica-lag`: the replica stands still, the master is killed meanwhile, and the replica is elected nevertheless
 */
export type DrillKind = (typeof DRILL_KINDS)[number]

export interface DrillOptions {
  readonly kind: DrillKind
  /**
   * A cluster whose processes are ours (`startCluster`, `openCluster`) is struck by signals; any other, named by its
   * connection, with what Redis itself can do.
   */
  readonly cluster: LocalCluster | ClusterConnectionOptions
  /** The master to strike. Default: the first one, by port, that has slots and a linked replica. */
  readonly shard?: Address
  /** Tasks per second, 10 to 10,000. Default 500. */
  readonly rate?: number
  /** Load before the strike, in ms, at least 500. Default 3,000. */
  readonly beforeMs?: number
  /** Load after the cluster is whole again, in ms, at least 500. Default 3,000. */
  readonly afterMs?: number
  /** How long `freeze` lasts, in ms. Default: until a replica was promoted. */
  readonly freezeMs?: number
  /** Ends the drill early; what it did to the cluster is mended first. */
  readonly signal?: AbortSignal
  /** Told of every step as it happens. */
  readonly onStep?: (step: DrillStep) => void
}

export interface DrillStep {
  readonly text: string
  /** Since the strike; null before it. */
  readonly sinceStrikeMs: number | null
}

export interface ResolvedDrillOptions {
  readonly kind: DrillKind
  readonly rate: number
  readonly beforeMs: number
  readonly afterMs: number
  readonly freezeMs: number | undefined
  readonly signal: AbortSignal
  readonly onStep: (step: DrillStep) => void
}

const HOUR_MS = 3_600_000

/** @throws InvalidOptionError */
export function resolveDrillOptions(options: DrillOptions): ResolvedDrillOptions {
  if (!DRILL_KINDS.includes(options.kind)) {
    throw new InvalidOptionError('kind', `expected ${DRILL_KINDS.join(', ')}, and not ${options.kind}`)
  }
  if (options.freezeMs !== undefined && options.kind !== 'freeze') {
    throw new InvalidOptionError('freezeMs', `is for the kind freeze, not for ${options.kind}`)
  }
  return {
    kind: options.kind,
    rate: within('rate', options.rate ?? 500, 10, 10_000),
    // The rate before the strike is measured in it, so it cannot be nothing.
    beforeMs: within('beforeMs', options.beforeMs ?? 3_000, 500, HOUR_MS),
    afterMs: within('afterMs', options.afterMs ?? 3_000, 500, HOUR_MS),
    freezeMs: options.freezeMs === undefined ? undefined : within('freezeMs', options.freezeMs, 1, HOUR_MS),
    signal: options.signal ?? new AbortController().signal,
    onStep: options.onStep ?? (() => {}),
  }
}

function within(option: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new InvalidOptionError(option, `expected a whole number from ${least} to ${most}, got ${value}`)
}
