import { named } from '../../named.js'
import type { Party } from '../fix/index.js'
import { rangesOf, type SlotRange } from '../slots.js'
import { planMoves, type SlotMove } from './plan.js'
import type { Survey, Weights } from './survey.js'

/** What goes from one master to another. */
export interface Flow {
  readonly from: Party
  readonly to: Party
  readonly slots: readonly SlotRange[]
  readonly slotCount: number
  /** Of those slots, the ones with keys. */
  readonly occupied: readonly number[]
  readonly keys: number
  /** Estimated. */
  readonly bytes: number
}

/** What one master has, and is to have. */
export interface Share {
  readonly node: Party
  readonly weight: number
  readonly slots: number
  readonly slotsAfter: number
  /** Partitions by queue, and what else is shared out by itself. */
  readonly groups: Readonly<Record<string, number>>
  readonly groupsAfter: Readonly<Record<string, number>>
}

export interface BalancePlan {
  readonly shares: readonly Share[]
  readonly flows: readonly Flow[]
  /** Totals of all flows. */
  readonly slots: number
  readonly keys: number
  readonly bytes: number
}

/** @param fixed slots that stay where they are */
export function makePlan(
  survey: Survey,
  weights: Weights,
  fixed: ReadonlySet<number> = new Set(),
): BalancePlan {
  const { masters, contents } = survey
  const weighted = masters.map(({ node }) => weights.get(node.id) ?? 1)
  const moves = planMoves(
    masters.map(({ node, slots }, i) => ({ id: node.id, slots, weight: weighted[i] ?? 1 })),
    contents,
    fixed,
  )
  const flows = flowsOf(moves, survey)
  const total = (of: (flow: Flow) => number) => flows.reduce((sum, flow) => sum + of(flow), 0)
  return {
    shares: sharesBefore(survey, weighted, moves),
    flows,
    slots: moves.length,
    keys: total(({ keys }) => keys),
    bytes: total(({ bytes }) => bytes),
  }
}

function flowsOf(moves: readonly SlotMove[], { masters, contents }: Survey): Flow[] {
  const nodes = new Map(masters.map(({ node }) => [node.id, node]))
  const byPair = new Map<string, SlotMove[]>()
  for (const move of moves) {
    const pair = `${move.from} ${move.to}`
    const known = byPair.get(pair)
    if (known) known.push(move)
    else byPair.set(pair, [move])
  }
  return [...byPair.values()].flatMap((moves) => {
    const [first] = moves
    const from = nodes.get(first?.from ?? '')
    const to = nodes.get(first?.to ?? '')
    if (!from || !to) return []
    const slots = moves.map(({ slot }) => slot)
    const occupied = slots.filter((slot) => (contents.get(slot)?.keys ?? 0) > 0)
    return {
      from,
      to,
      slots: rangesOf(slots),
      slotCount: slots.length,
      occupied,
      keys: occupied.reduce((sum, slot) => sum + (contents.get(slot)?.keys ?? 0), 0),
      bytes: occupied.reduce((sum, slot) => sum + (contents.get(slot)?.bytes ?? 0), 0),
    }
  })
}

function sharesBefore(
  { masters, contents }: Survey,
  weights: readonly number[],
  moves: readonly SlotMove[],
): Share[] {
  const heirs = new Map(moves.map(({ slot, to }) => [slot, to]))
  const after = new Map(masters.map(({ node }) => [node.id, [] as number[]]))
  for (const { node, slots } of masters)
    for (const slot of slots) after.get(heirs.get(slot) ?? node.id)?.push(slot)
  const groupsIn = (slots: readonly number[]) => {
    const counts = named<number>()
    for (const slot of slots)
      for (const group of contents.get(slot)?.groups ?? []) counts[group] = (counts[group] ?? 0) + 1
    return counts
  }
  return masters.map(({ node, slots }, i) => {
    const slotsAfter = after.get(node.id) ?? []
    return {
      node,
      weight: weights[i] ?? 1,
      slots: slots.length,
      slotsAfter: slotsAfter.length,
      groups: groupsIn(slots),
      groupsAfter: groupsIn(slotsAfter),
    }
  })
}
