import type { DrillKind } from './options.js'
import type { Check, DrillReport } from './report.js'

/**
 * Longest that an enqueue without a key may take while a shard is out: a replica has 100 ms to confirm
 * (`confirmTimeoutMs`) before the task goes elsewhere; twice, should the next shard hesitate as well, and 100 ms for a
 * busy machine.
 */
export const STALL_LIMIT_MS = 300
/**
 * Nothing tells of a frozen master but its silence, so one command time-out (`commandTimeoutMs`, 1,000 ms) comes on top.
 * A master that ends in good order is as silent: it holds writes back until its replicas have confirmed all of them,
 * which they do once a second.
 */
export const SILENT_STALL_LIMIT_MS = STALL_LIMIT_MS + 1_000

export function stallLimitMs(kind: DrillKind): number {
  return kind === 'freeze' || kind === 'restart' ? SILENT_STALL_LIMIT_MS : STALL_LIMIT_MS
}

/** What has to hold for a drill to be passed, each with what was found. */
export function verdict(
  report: Omit<DrillReport, 'checks' | 'passed'>,
  expected: { readonly promotion: boolean },
  missing: readonly string[],
): Check[] {
  const { ledger, stall, client, failover, load, structure } = report
  const none = (check: string, count: number) => ({ check, passed: count === 0, found: String(count) })
  const unexplained = ledger.deliveredTwiceBy.unexplained ?? 0
  return [
    none('acknowledged tasks lost', ledger.lost.length),
    none('acknowledged twice, or an id given twice', ledger.acknowledgedTwice.length),
    none('delivered twice without a reason', unexplained),
    none('delivered twice with a key', ledger.deliveredTwiceWithKey),
    none('run twice at the same time', ledger.atOnce.length),
    none('completed twice: fencing failed', ledger.completedTwice.length),
    ...(structure === null
      ? []
      : [
          {
            check: 'structure: every task in exactly one place',
            passed: structure.length === 0,
            found: structure.length === 0 ? 'clean' : structure.join('; '),
          },
        ]),
    none('enqueues without a key rejected', stall.rejected),
    {
      check: `longest enqueue without a key, at most ${stall.limitMs} ms`,
      passed: stall.longestMs <= stall.limitMs,
      found: `${stall.longestMs} ms`,
    },
    ...(expected.promotion
      ? [
          {
            check: 'a replica was promoted',
            passed: failover.promotionMs !== null,
            found: failover.promotionMs === null ? 'no' : 'yes',
          },
        ]
      : []),
    {
      check: 'the shard hands out its tasks again',
      passed: client.runsAgainMs !== null,
      found: client.runsAgainMs === null ? 'no' : 'yes',
    },
    {
      check: 'the cluster is whole in the end',
      passed: missing.length === 0,
      found: missing.length === 0 ? 'yes' : missing.join('; '),
    },
    {
      check: 'the queue was drained, and its keys removed',
      passed: load.heldInTheEnd === 0 && load.keysLeft === 0,
      found:
        load.heldInTheEnd === 0 && load.keysLeft === 0
          ? 'yes'
          : `${load.heldInTheEnd ?? 'unknown'} tasks, ${load.keysLeft} keys left`,
    },
  ]
}
