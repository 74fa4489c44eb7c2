/**
 * Shares the slots out among the masters, by weight, and the partitions of every queue by themselves, with as few moves as that
 * takes. Why so, and what it costs, stands in docs/decisions/0034-shares-of-slots-and-of-partitions.md; how it behaves, in
 * docs/growing.md.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { AuthenticationError, InvalidOptionError } from '../../errors.js'
import { ClusterNotReadyError, InterruptedError, NodeNotEmptyError, OnlyLibrariesError } from '../errors.js'
import { carryOut } from '../fix/carry-out.js'
import { deedsOf as deedsOfStep, describe, type FixStep, type Left, type Party } from '../fix/index.js'
import type { Address } from '../link.js'
import { BIG_KEY_BYTES, Nodes, NoRoomError, StepRefused } from '../move/index.js'
import { type Deed, mustBeAgreed, type RunOptions } from '../operation/agreed.js'
import { withOperation } from '../operation/index.js'
import { withLeft } from '../owed/left.js'
import type { Owes } from '../owed/unpaid.js'
import { mustPermit } from '../permitted.js'
import { type MoveLimits, moveAll, type Refused } from './carry-out.js'
import { expectEmptiable } from './emptiable.js'
import { type BalancePlan, makePlan, type Share } from './flows.js'
import { leftOf } from './left.js'
import { type RebalanceProgress, Tally } from './progress.js'
import { PATIENCE_MS, type Survey, type SurveyOptions, survey, type Weights, weightsFor } from './survey.js'
import { UnfollowedError, unprotected } from './unprotected.js'

export type { BalancePlan, Flow, Share } from './flows.js'
export type { RebalanceProgress } from './progress.js'

export interface RebalanceOptions extends SurveyOptions, Owes {
  /** By `host:port` or id: the share of a master in proportion to the others. Default 1; 0 empties it. */
  readonly weights?: Readonly<Record<string, number>>
  /** Size by MEMORY USAGE above which a key is not moved. Default 32 MB. */
  readonly bigKeyBytes?: number
  /** Move such keys all the same. Default false. */
  readonly bigKeys?: boolean
  /** Give slots also to a master that no replica follows, from one that has a replica. Default false: waits for one, and then refuses. */
  readonly leaveUnprotected?: boolean
  readonly onProgress?: (progress: RebalanceProgress) => void
}

export interface RebalanceReport {
  /** What was moved. Bytes are estimated. */
  readonly slots: number
  readonly keys: number
  readonly bytes: number
  readonly ms: number
  readonly shares: readonly Share[]
  /**
   * Slots that stay where they are, those that it was stopped in the middle of, and what nodes have not got back: why, and what to do about it.
   */
  readonly left: readonly Left[]
  /** It was stopped before its end; what was moved stays moved, and the next one goes on. */
  readonly interrupted: boolean
}

export interface PlannedRebalance extends BalancePlan {
  /** What an operation that was cut off has left; it is finished first. */
  readonly mends: readonly FixStep[]
  /** Masters that would get slots and have no replica that follows; a sentence for each. `run` refuses then. */
  readonly unprotected: readonly string[]
  /**
   * Makes the plan again, of what is then, and carries it out if slots go between no others than was agreed to (else PlanChangedError). A master that fails on the way is waited for, or the one that takes its
   * place; then it goes on.
   * @throws OperationInProgressError, LockUnavailableError, OperationLostError; ClusterNotReadyError when the cluster does not
   *   become whole again; what a node failed with for the third time
   */
  run(options?: RunOptions): Promise<RebalanceReport>
}

/** Failures in a row, with nothing moved in between, until it gives up; and a moment for a failover to begin. */
const MOST_FAILURES = 3
const AFTER_FAILURE_MS = 500

/**
 * Looks at a cluster and makes a plan. Changes nothing until `run`.
 * @throws InvalidOptionError; ClusterNotReadyError when a master does not answer, or nodes do not agree; NodeUnreachableError,
 *   AuthenticationError, WrongModeError when no node of the seeds can be asked; NodeNotEmptyError when a master that is to be emptied has keys
 *   of slots that it does not own, OnlyLibrariesError when it has libraries of functions that no other has
 */
export async function planRebalance(
  seeds: readonly Address[],
  options: RebalanceOptions = {},
): Promise<PlannedRebalance> {
  await mustPermit(seeds, options, 'cluster rebalance', [
    'CLUSTER COUNTKEYSINSLOT',
    'CLUSTER SETSLOT',
    'MIGRATE',
  ])
  const found = await survey(seeds, options)
  const plan = makePlan(found, weightsFor(found, options.weights))
  if (found.mends.length === 0) await expectEmptiable(found, plan, options)
  const everywhere = [...found.nodes.values()].map(({ host, port }) => ({ host, port }))
  const run = ({ evenIfChanged = false }: RunOptions = {}) =>
    withOperation(everywhere, options, { name: 'rebalance' }, options.signal, async (held) => {
      const now = await survey(everywhere, { ...options, ...held })
      const planned = makePlan(now, weightsFor(now, options.weights))
      if (!evenIfChanged) mustBeAgreed('rebalance', deedsOf(found, plan), deedsOf(now, planned))
      return withLeft(held, await rebalance(everywhere, { ...options, ...held }, now))
    })
  const bare = options.leaveUnprotected ? [] : unprotected(plan, found)
  return { ...plan, mends: found.mends, unprotected: bare, run }
}

/** From whom to whom, and what is mended before; how many slots and keys may have changed. */
function deedsOf({ mends }: Survey, { flows }: BalancePlan): Deed[] {
  return [
    ...mends.flatMap(deedsOfStep),
    ...flows.map(({ from, to }) => ({
      id: `slots ${from.id} ${to.id}`,
      what: `slots go from ${from.name} to ${to.name}`,
    })),
  ]
}

/**
 * As `planRebalance` and `run`, under a lock that the caller has.
 * @param first what was seen a moment ago
 */
export async function rebalance(
  seeds: readonly Address[],
  options: RebalanceOptions,
  first?: Survey,
): Promise<RebalanceReport> {
  const startedMs = performance.now()
  const { signal, bigKeys = false, bigKeyBytes = BIG_KEY_BYTES, agreeMs = PATIENCE_MS } = options
  const { leaveUnprotected = false } = options
  const tally = new Tally(options.onProgress)
  const refused: Refused = new Map()
  let weights: Weights | undefined
  // For the look that ends it, right after all is moved; after a failure they are read again.
  let contents: Survey['contents'] | undefined
  let protectedAtMs = startedMs
  for (let failures = 0; ; ) {
    const interrupted = signal?.aborted === true
    // What it has come to is told also of one that was stopped.
    const found =
      first ?? (await survey(seeds, interrupted ? { ...options, signal: undefined } : options, contents))
    first = undefined
    contents = undefined
    weights ??= weightsFor(found, options.weights)
    const plan = makePlan(found, weights, new Set(refused.keys()))
    if (interrupted || (plan.slots === 0 && found.mends.length === 0)) {
      const left = leftOf(refused, found, interrupted)
      return { ...tally.done, ms: performance.now() - startedMs, shares: plan.shares, left, interrupted }
    }
    const bare = leaveUnprotected || found.mends.length > 0 ? [] : unprotected(plan, found)
    if (bare.length > 0) {
      // A replica that has just been started follows in a moment.
      const waitedMs = performance.now() - protectedAtMs
      if (waitedMs > agreeMs) throw new ClusterNotReadyError(Math.round(waitedMs), bare)
      tally.tell('waiting', bare.join('; '))
      await sleep(AFTER_FAILURE_MS)
      continue
    }
    protectedAtMs = performance.now()
    tally.plan(plan)
    const before = tally.done.slots
    const nodes = new Nodes(options)
    try {
      await step(nodes, found, plan, { bigKeys, bigKeyBytes, signal, leaveUnprotected }, tally, refused)
      // A mend may be of what the move before has left.
      if (found.mends.length === 0) {
        failures = 0
        contents = found.contents
      }
    } catch (error) {
      // However long that took, a replica that died meanwhile is waited for from now on.
      protectedAtMs = performance.now()
      failures = tally.done.slots > before ? 1 : failures + 1
      if (isFinal(error)) throw error
      // More memory does not come by itself, and each try may cost keys.
      if (failures >= MOST_FAILURES || error instanceof NoRoomError)
        throw notReady(error, performance.now() - startedMs)
      tally.tell('waiting', (error as Error).message)
      await sleep(AFTER_FAILURE_MS)
    } finally {
      await nodes.close()
    }
  }
}

/** A reason of ours as an error that says what to type; what a node failed with as it is. */
function notReady(error: unknown, ms: number): unknown {
  if (error instanceof UnfollowedError) return new ClusterNotReadyError(Math.round(ms), [error.message])
  if (!(error instanceof StepRefused)) return error
  return new ClusterNotReadyError(Math.round(ms), [`${error.message}; ${error.remedy}`])
}

const isFinal = (error: unknown) =>
  [
    AuthenticationError,
    InvalidOptionError,
    InterruptedError,
    ClusterNotReadyError,
    NodeNotEmptyError,
    OnlyLibrariesError,
  ].some((kind) => error instanceof kind)

/** What was cut off is finished first, and then looked at again: it may have changed who has what. */
async function step(
  nodes: Nodes,
  found: Survey,
  plan: BalancePlan,
  limits: MoveLimits,
  tally: Tally,
  refused: Refused,
): Promise<void> {
  const { masters, mends } = found
  const parties: Party[] = masters.map(({ node }) => node)
  for (const mend of mends) {
    if (limits.signal?.aborted) return
    tally.tell('mending', describe(mend))
    await carryOut(nodes, mend, parties, { bigKeys: limits.bigKeys, bigKeyBytes: limits.bigKeyBytes }).catch(
      (error: Error) => {
        if (!(error instanceof StepRefused)) throw error
        throw new ClusterNotReadyError(0, [`${describe(mend)}: ${error.message}; ${error.remedy}`])
      },
    )
  }
  if (mends.length > 0) return
  await expectEmptiable(found, plan, nodes.access)
  await moveAll(nodes, plan, parties, limits, tally, refused)
}
