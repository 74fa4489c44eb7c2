import type { FaultFindings, Findings, Repeat } from '../../../src/ledger/index.js'
import type { FaultKind } from './faults.js'

/** One promise that was not kept. */
export interface Violation {
  readonly what: string
  /** The tasks that show it, if any. */
  readonly tokens: readonly string[]
}

/** What no fault excuses. @param cutsLinks whether a fault of this name keeps workers from a master that lives */
export function judge(findings: Findings, cutsLinks: (fault: string) => boolean): Violation[] {
  const repeats = (reason: string) =>
    findings.repeats.filter((each) => each.reason === reason).map((each) => each.token)
  // Who cannot renew its lease for as long as that lasts is as good as dead.
  const isCutOff = ({ reason, fault }: Repeat) =>
    reason === 'worker stopped' ||
    (reason === 'delivery in flight' && fault !== undefined && cutsLinks(fault))
  const keyed = findings.repeats.filter((each) => each.keyed && !isCutOff(each))
  const inFlight = findings.faults.reduce((sum, fault) => sum + fault.inFlight, 0)
  const excused = ['worker stopped', 'delivery in flight', 'enqueue in flight'].flatMap(repeats).length
  const found: (Violation | false)[] = [
    // A checker without evidence finds no fault.
    findings.acknowledged === 0 && { what: 'no task was acknowledged, so nothing was shown', tokens: [] },
    tokens('acknowledged and lost', findings.lost),
    tokens('acknowledged twice', findings.acknowledgedTwice),
    tokens('completed twice, with nothing in flight', findings.completedTwice),
    tokens('run twice at the same time, with nothing to explain it', findings.atOnce),
    tokens('run again, with nothing to explain it', repeats('unexplained')),
    tokens(
      'run again although it has a key and its worker lives',
      keyed.map((each) => each.token),
    ),
    excused > inFlight && { what: `${excused} run again, and only ${inFlight} were in flight`, tokens: [] },
  ]
  return found.filter((each) => each !== false)
}

/** What a fault of this kind does not excuse, of what happened until the cluster was whole again. */
export function judgeFault(
  { rejected, longestMs }: FaultFindings,
  kind: Pick<FaultKind, 'mayReject' | 'stallMs'>,
): Violation[] {
  const found: (Violation | false)[] = [
    !kind.mayReject && rejected > 0 && { what: `${rejected} enqueues without a key rejected`, tokens: [] },
    longestMs > kind.stallMs && {
      what: `a producer without a key stood still for ${longestMs.toFixed(0)} ms, over ${kind.stallMs}`,
      tokens: [],
    },
  ]
  return found.filter((each) => each !== false)
}

const tokens = (what: string, list: readonly string[]): Violation | false =>
  list.length > 0 && { what: `${list.length} ${what}`, tokens: list }
