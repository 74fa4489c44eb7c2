import type { Left, Party } from '../fix/index.js'
import { moveSlots, NodeRefuses, type Nodes, StepRefused } from '../move/index.js'
import { slotsIn } from '../slots.js'
import type { BalancePlan, Flow } from './flows.js'
import type { Tally } from './progress.js'
import { expectFollowed } from './unprotected.js'

export interface MoveLimits {
  readonly bigKeyBytes: number
  readonly bigKeys: boolean
  readonly signal: AbortSignal | undefined
  /** Give slots also to a master that no replica follows. */
  readonly leaveUnprotected: boolean
}

/** Slots that could not be moved, with the reason, by slot. */
export type Refused = Map<number, Left & { readonly to: Party }>

/**
 * Moves all slots of a plan. Those without keys first, since that is done within seconds; then the others. One that is refused
 * stays where it is, and keeps no other from being moved. @throws UnfollowedError, and what a node fails with; slots may be open then
 */
export async function moveAll(
  nodes: Nodes,
  plan: BalancePlan,
  masters: readonly Party[],
  limits: MoveLimits,
  tally: Tally,
  refused: Refused,
): Promise<void> {
  const move = async (slots: readonly number[], { from, to }: Flow) => {
    if (slots.length === 0 || limits.signal?.aborted) return
    if (!limits.leaveUnprotected) await expectFollowed(nodes, from, to)
    const done = tally.begin(`${from.name} to ${to.name}`)
    try {
      await moveSlots(nodes, { slots, from, to }, masters, { ...limits, onProgress: done })
    } finally {
      tally.end()
    }
  }
  for (const [to, bytes] of bytesInto(plan)) await nodes.expectRoom(to, bytes)
  for (const flow of plan.flows) {
    const occupied = new Set(flow.occupied)
    await move(
      slotsIn(flow.slots).filter((slot) => !occupied.has(slot)),
      flow,
    )
  }
  for (const flow of plan.flows) {
    try {
      await move(flow.occupied, flow)
    } catch (error) {
      // That is of the node, and the next slot would wait as long.
      if (!(error instanceof StepRefused) || error instanceof NodeRefuses) throw error
      await oneByOne(flow, (slot) => move([slot], flow), refused)
    }
  }
}

/** What each gets, as far as it is known; what it gives away may leave later. */
function bytesInto({ flows }: BalancePlan): ReadonlyMap<Party, number> {
  const into = new Map<string, [Party, number]>()
  for (const { to, bytes } of flows) into.set(to.id, [to, (into.get(to.id)?.[1] ?? 0) + bytes])
  return new Map(into.values())
}

/** Those that have arrived already are passed over by the mover. */
async function oneByOne(
  { occupied, from, to }: Flow,
  move: (slot: number) => Promise<void>,
  refused: Refused,
): Promise<void> {
  for (const slot of occupied) {
    try {
      await move(slot)
    } catch (error) {
      if (!(error instanceof StepRefused) || error instanceof NodeRefuses) throw error
      const what = `slot ${slot} of ${from.name} to ${to.name}`
      refused.set(slot, { what, why: error.message, remedy: error.remedy, to })
    }
  }
}
