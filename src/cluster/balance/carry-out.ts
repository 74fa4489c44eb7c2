import { carryOut } from '../fix/carry-out.js'
import type { Left, Party } from '../fix/index.js'
import type { Nodes } from '../fix/nodes.js'
import { StepRefused } from '../fix/steps.js'
import { slotsIn } from '../slots.js'
import type { BalancePlan, Flow } from './flows.js'
import { moveEmpty } from './move-empty.js'
import type { Content } from './plan.js'
import type { Tally } from './progress.js'

/** Slots that are open at once, and so what a kill leaves open at most. */
const BATCH = 100

export interface MoveLimits {
  readonly bigKeyBytes: number
  readonly bigKeys: boolean
  /** Looked at between slots: a slot that is under way is brought to its end. */
  readonly signal: AbortSignal | undefined
}

/** Slots that could not be moved, with the reason, by slot. */
export type Refused = Map<number, Left>

/**
 * Moves all slots of a plan. Those without keys first, since that is done within seconds; then the others one by one, the small
 * ones first. @throws what a node fails with; the slots under way are open then
 */
export async function moveAll(
  nodes: Nodes,
  plan: BalancePlan,
  contents: ReadonlyMap<number, Content>,
  masters: readonly Party[],
  limits: MoveLimits,
  tally: Tally,
  refused: Refused,
): Promise<void> {
  const mover = new Mover(nodes, contents, masters, limits, tally, refused)
  for (const flow of plan.flows) await mover.moveEmptyOnes(flow)
  const occupied = plan.flows.flatMap((flow) => flow.occupied.map((slot) => ({ slot, flow })))
  const size = (slot: number) => contents.get(slot)?.bytes ?? 0
  for (const { slot, flow } of occupied.sort((a, b) => size(a.slot) - size(b.slot)))
    await mover.move(slot, flow)
}

class Mover {
  constructor(
    private readonly nodes: Nodes,
    private readonly contents: ReadonlyMap<number, Content>,
    private readonly masters: readonly Party[],
    private readonly limits: MoveLimits,
    private readonly tally: Tally,
    private readonly refused: Refused,
  ) {}

  async moveEmptyOnes(flow: Flow): Promise<void> {
    const occupied = new Set(flow.occupied)
    const empty = slotsIn(flow.slots).filter((slot) => !occupied.has(slot))
    for (let at = 0; at < empty.length && !this.limits.signal?.aborted; at += BATCH) {
      const batch = empty.slice(at, at + BATCH)
      const filled = await moveEmpty(this.nodes, batch, flow, this.masters)
      this.tally.moved(batch.length - filled.length)
      this.tally.tell('moving', `empty slots of ${flow.from.name} to ${flow.to.name}`)
      // They are open, and it takes no longer to move them than to close them.
      for (const slot of filled) await this.#finish(slot, flow)
    }
  }

  async move(slot: number, flow: Flow): Promise<void> {
    if (this.limits.signal?.aborted) return
    await this.#finish(slot, flow)
  }

  async #finish(slot: number, { from, to }: Flow): Promise<void> {
    const { keys = 0, bytes = 0 } = this.contents.get(slot) ?? {}
    const what = `slot ${slot} of ${from.name} to ${to.name}`
    this.tally.tell('moving', what)
    const onKeys = (moved: number) => {
      const share = keys === 0 ? 0 : Math.min(1, moved / keys)
      this.tally.tell('moving', what, { keys: moved, bytes: Math.round(bytes * share) })
    }
    const { bigKeyBytes, bigKeys } = this.limits
    const step = { kind: 'finish', slot, from, to, keys, keysThere: 0 } as const
    try {
      await carryOut(this.nodes, step, this.masters, { bigKeyBytes, bigKeys, onKeys })
    } catch (error) {
      if (!(error instanceof StepRefused)) throw error
      this.refused.set(slot, { what, why: error.message, remedy: error.remedy })
      return
    }
    this.tally.moved(1, keys, bytes)
    this.tally.tell('moving', what)
  }
}
