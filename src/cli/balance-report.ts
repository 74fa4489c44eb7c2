import {
  type BalancePlan,
  describeStep,
  type PlannedRebalance,
  type RebalanceProgress,
  type RebalanceReport,
  type Share,
} from '../cluster/index.js'
import { rangeText } from '../cluster/slots.js'
import { PlainTable } from '../plain-table.js'
import { bytes, seconds } from './figures.js'
import { printLeft } from './left-report.js'
import type { Output } from './output.js'

/** More queues than that are told of as a sum. */
const MOST_QUEUES = 3

/** Who has what, who is to have what, and what goes from where to where. */
export function printPlan(
  plan: BalancePlan & Pick<PlannedRebalance, 'mends' | 'unprotected'>,
  output: Output,
): void {
  const { flows, mends, slots, unprotected } = plan
  for (const mend of mends) output.line(`first: ${describeStep(mend)}`)
  output.lines(shareTable(plan.shares))
  if (flows.length === 0) return
  const table = new PlainTable(['from', 'to', 'slots', 'with keys', 'keys', 'bytes', 'which'], {
    right: [2, 3, 4, 5],
  })
  for (const { from, to, slotCount, occupied, keys, bytes: size, slots } of flows)
    table.push([from.name, to.name, slotCount, occupied.length, keys, bytes(size), rangeText(slots, 3)])
  output.lines(table.lines())
  output.line(`${slots} slots to move, with ${plan.keys} keys, about ${bytes(plan.bytes)}`)
  for (const each of unprotected) output.line(output.colors.red(`✗ ${each}`))
}

/** Each master's slots and partitions, now and then; with one column, when there is nothing to move. */
function shareTable(shares: readonly Share[]): string[] {
  const groups = [...new Set(shares.flatMap(({ groups }) => Object.keys(groups)))].sort()
  const columns =
    groups.length <= MOST_QUEUES
      ? groups.map((name) => ({ title: name, of: [name] }))
      : [{ title: `partitions of ${groups.length} queues`, of: groups }]
  const sum = (counts: Readonly<Record<string, number>>, of: readonly string[]) =>
    of.reduce((total, name) => total + (counts[name] ?? 0), 0)
  const table = new PlainTable(['master', 'weight', 'slots', ...columns.map(({ title }) => title)], {
    right: [1, ...columns.map((_, i) => i + 3), 2],
  })
  const change = (now: number, then: number) => (now === then ? `${now}` : `${now} → ${then}`)
  for (const { node, weight, slots, slotsAfter, groups, groupsAfter } of shares)
    table.push([
      node.name,
      weight,
      change(slots, slotsAfter),
      ...columns.map(({ of }) => change(sum(groups, of), sum(groupsAfter, of))),
    ])
  return table.lines()
}

export function progressLine(progress: RebalanceProgress): string {
  const { state, what, slots, slotsTotal, keys, keysTotal, elapsedMs, leftMs } = progress
  if (state !== 'moving') return `${state}: ${what}`
  const share = slotsTotal === 0 ? 0 : Math.floor((100 * slots) / slotsTotal)
  const rate = elapsedMs === 0 ? 0 : Math.round((slots * 1_000) / elapsedMs)
  const left = leftMs === null ? '' : `, ${(leftMs / 1_000).toFixed(0)} s left`
  return (
    `${share} %  slots ${slots} of ${slotsTotal} (${rate}/s)  keys ${keys} of ${keysTotal}  ` +
    `${bytes(progress.bytes)} of ${bytes(progress.bytesTotal)}${left}  ${what}`
  )
}

export function printRebalanced(report: RebalanceReport, output: Output): void {
  const { slots, keys, ms, interrupted, left, shares } = report
  output.line()
  output.lines(shareTable(shares))
  output.line(`moved ${slots} slots, ${keys} keys, about ${bytes(report.bytes)}, in ${seconds(ms)}`)
  printLeft(left, output)
  if (interrupted) {
    const rest = left.length === 0 ? 'nothing is half way, ' : ''
    output.line(`stopped; what was moved stays moved, ${rest}and the same command goes on`)
  }
  if (!interrupted && left.length === 0) output.line(output.colors.green('✅ balanced'))
}
