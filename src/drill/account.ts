import { type ClusterStatus, nameOf } from '../cluster/index.js'
import { check, type Entry, type Reason } from '../ledger/index.js'
import { FAULTS } from './faults.js'
import {
  clientTimes,
  errorsElsewhere,
  failoverTimes,
  type Moments,
  serverTimes,
  shardRates,
  stall,
} from './measure.js'
import type { ResolvedDrillOptions } from './options.js'
import type { QueueUnderTest } from './queue-under-test.js'
import type { DrillReport } from './report.js'
import type { ServerSightings } from './server-log.js'
import type { Target } from './target.js'
import { stallLimitMs, verdict } from './verdict.js'

/** All that is known when a drill is over. */
export interface Evidence {
  readonly target: Target
  readonly options: ResolvedDrillOptions
  readonly queue: QueueUnderTest
  readonly entries: readonly Entry[]
  readonly moments: Moments
  readonly logged: ServerSightings | null
  /** The master was there again before a replica could be elected. */
  readonly returned: boolean
  /** The cluster in the end; null when it was not whole, and then `missing` says why. */
  readonly after: ClusterStatus | null
  readonly missing: readonly string[]
  readonly held: number | null
  readonly structure: readonly string[] | null
  readonly keysLeft: number
  readonly notes: readonly string[]
}

/** Makes the report. Nothing here asks the cluster or the queue: the ledger has it all. */
export function account(evidence: Evidence): DrillReport {
  const { target, options, entries, moments, missing } = evidence
  const { before, shard } = target
  const struck = nameOf(shard.master)
  const masters = before.nodes.filter(({ slots }) => slots.length > 0)
  const queue = {
    keys: evidence.queue.keys,
    masterOf: (id: string) => evidence.queue.masterOf(id),
  }
  const findings = check(entries)
  const found: Omit<DrillReport, 'checks' | 'passed'> = {
    kind: options.kind,
    cluster: {
      nodes: before.nodes.length,
      masters: masters.length,
      nodeTimeoutMs: target.nodeTimeoutMs,
      local: target.local !== null,
    },
    struck: {
      master: struck,
      replicas: shard.replicas.map(nameOf),
      slots: shard.master.slots.reduce((sum, [first, last]) => sum + last - first + 1, 0),
      masterAfter: masterOfShard(evidence.after, shard.master.slots[0]?.[0]),
    },
    load: {
      queue: evidence.queue.name,
      rate: options.rate,
      enqueued: findings.enqueued,
      acknowledged: findings.acknowledged,
      rejected: findings.rejected,
      keysLeft: evidence.keysLeft,
      heldInTheEnd: evidence.held,
    },
    failover: failoverTimes(moments),
    byServerLogs: evidence.logged && serverTimes(moments, evidence.logged),
    client: clientTimes(entries, moments, queue, struck),
    stall: stall(entries, moments, stallLimitMs(options.kind)),
    shards: shardRates(entries, moments, queue.masterOf, masters.map(nameOf), struck),
    ledger: {
      lost: findings.lost,
      acknowledgedTwice: findings.acknowledgedTwice,
      deliveredTwice: findings.repeats.length,
      deliveredTwiceBy: countBy(findings.repeats.map(({ reason }) => reason)),
      deliveredTwiceWithKey: findings.repeats.filter(({ keyed }) => keyed).length,
      completedTwice: findings.completedTwice,
      atOnce: findings.atOnce,
      inFlight: findings.faults[0]?.inFlight ?? 0,
    },
    structure: evidence.structure,
    errorsOnOtherShards: errorsElsewhere(entries, queue, struck),
    complaints: evidence.queue.complaints,
    notes: evidence.notes,
  }
  const promotion = FAULTS[options.kind].promotes(options.freezeMs) && !evidence.returned
  const checks = verdict(found, { promotion }, missing)
  return { ...found, checks, passed: checks.every(({ passed }) => passed) }
}

function masterOfShard(status: ClusterStatus | null, slot = 0): string | null {
  const master = status?.nodes.find((node) =>
    node.slots.some(([first, last]) => first <= slot && slot <= last),
  )
  return master ? nameOf(master) : null
}

function countBy(reasons: readonly Reason[]): Partial<Record<Reason, number>> {
  const counts: Partial<Record<Reason, number>> = {}
  for (const reason of reasons) counts[reason] = (counts[reason] ?? 0) + 1
  return counts
}
