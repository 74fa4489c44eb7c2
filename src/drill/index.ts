/** A failover drill: load of its own, one shard struck, every task accounted for, the cluster whole again. */
import { FAULTS } from './faults.js'
import { LocalHands } from './local-hands.js'
import { type DrillOptions, resolveDrillOptions } from './options.js'
import type { QueueFactory } from './queue-under-test.js'
import { RemoteHands } from './remote-hands.js'
import { Repairs } from './repairs.js'
import type { DrillReport } from './report.js'
import { DrillRun } from './run.js'
import { ShardqUnderTest } from './shardq-queue.js'
import { findTarget, type Shard } from './target.js'

export * from './errors.js'
export { DRILL_KINDS, type DrillKind, type DrillOptions, type DrillStep } from './options.js'
export type {
  Check,
  ClientTimes,
  DrillReport,
  FailoverTimes,
  ShardRate,
  Stall,
} from './report.js'
export type { Shard } from './target.js'
export { SILENT_STALL_LIMIT_MS, STALL_LIMIT_MS } from './verdict.js'

/** A drill that could be held: nothing was done yet. */
export interface DrillPlan {
  readonly shard: Shard
  /** What will be done, in order, and to which node. */
  readonly deeds: readonly string[]
  /** Holds the drill. To be called once. @throws as `drill` */
  run(): Promise<DrillReport>
}

/**
 * Finds the shard to strike and makes sure that the cluster is whole, that the servers permit what the kind needs, and
 * says what will be done.
 * @throws ClusterNotWholeError, DrillNotPermittedError, InvalidOptionError, NodeUnreachableError, AuthenticationError,
 *   WrongModeError
 */
export async function planDrill(
  options: DrillOptions,
  /** Another queue in place of ours, under the same load and the same faults. */
  makeQueue: QueueFactory = (target) => new ShardqUnderTest(target),
): Promise<DrillPlan> {
  const resolved = resolveDrillOptions(options)
  const target = await findTarget(options.cluster, options.shard, resolved.signal)
  const repairs = new Repairs()
  const hands = target.local ? new LocalHands(target.local, repairs) : new RemoteHands(target, repairs)
  const fault = FAULTS[resolved.kind]
  await hands.check(resolved.kind, fault.strikes(target.shard))
  const { shard } = target
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`
  return {
    shard,
    deeds: [
      `${seconds(resolved.beforeMs)} of load, ${resolved.rate} tasks per second, on a queue of its own`,
      ...fault.plan(shard, hands, resolved.freezeMs),
      `${seconds(resolved.afterMs)} of load once the cluster is whole; then the queue's keys are removed`,
    ],
    run: () => new DrillRun({ target, options: resolved, hands, repairs }, makeQueue).run(),
  }
}

/**
 * Strikes one shard of a cluster under load, measures what happens, mends what it did, and reports. Takes the load's
 * time, the outage (about 1.5 node time-outs) and a few seconds. The cluster serves others meanwhile, except the slots
 * that were struck; so this is for clusters whose users can stand the loss of a master, which is what it is to show.
 * @throws as `planDrill`, InterruptedError (undone what was done), DrillNotHealedError (could not)
 */
export async function drill(options: DrillOptions): Promise<DrillReport> {
  const plan = await planDrill(options)
  return plan.run()
}
