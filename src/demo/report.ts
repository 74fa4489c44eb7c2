import type { Colors } from 'picocolors/types.js'
import { PlainTable } from '../plain-table.js'
import type { Killing } from './kill.js'
import type { LedgerSummary } from './ledger.js'
import type { Run } from './messages.js'
import type { Crossover, Metrics } from './strategy.js'
import { count, ms, seconds } from './view.js'

/** What the demo found out, and its JSON document. */
export interface DemoReport {
  readonly tasks: number
  readonly workers: number
  /** From the first enqueue to the last completion. */
  readonly elapsedMs: number
  readonly period: { readonly from: string; readonly to: string; readonly costPerSide: number }
  /** Best first. */
  readonly best: readonly (Crossover & Metrics)[]
  readonly buyAndHold: Metrics
  readonly ledger: LedgerSummary
  /** Tasks that the queue still held in the end. */
  readonly leftInQueue: number
  /** What is wrong with how the queue's tasks are stored, as `shardq queue verify` finds it; none if it is clean. */
  readonly structure: readonly string[]
  /** Null where no master was to be killed. */
  readonly killed: Readonly<Killing> | null
  /** What queue and workers complained of meanwhile, each once: of use when the ledger does not balance. */
  readonly complaints: readonly string[]
}

/** Keeps the best by Sharpe ratio, one entry per pair however often it ran. */
export class Leaderboard {
  #best: (Crossover & Metrics)[] = []

  constructor(private readonly size = 5) {}

  add({ fast, slow, metrics }: Run): void {
    if (this.#best.some((each) => each.fast === fast && each.slow === slow)) return
    const worst = this.#best.at(-1)
    if (this.#best.length >= this.size && worst && metrics.sharpe <= worst.sharpe) return
    this.#best = [...this.#best, { fast, slow, ...metrics }]
      .sort((a, b) => b.sharpe - a.sharpe)
      .slice(0, this.size)
  }

  get best(): readonly (Crossover & Metrics)[] {
    return this.#best
  }
}

export function renderReport(report: DemoReport, colors: Colors): string[] {
  const { period, ledger } = report
  return [
    '',
    colors.bold('Best five by Sharpe ratio'),
    ...strategyTable(report),
    colors.dim(
      `S&P 500, ${period.from} to ${period.to}, ${(period.costPerSide * 10_000).toFixed(0)} basis points a side, ` +
        'no interest on cash.',
    ),
    colors.dim('Picked afterwards from all that were tried: a search, not a forecast.'),
    '',
    colors.bold('The ledger'),
    ...ledgerTable(report, colors),
    ledger.balanced
      ? colors.green(`✓ The ledger balances: every acknowledged task was run (${seconds(report.elapsedMs)}).`)
      : colors.red(`✗ The ledger does not balance.${lostIds(ledger)}`),
    ...report.structure.map((each) => colors.red(`✗ ${each}`)),
    ...(ledger.balanced ? [] : report.complaints.map((each) => colors.dim(`  ${each}`))),
  ]
}

const FIGURES = [1, 2, 3, 4, 5]

function strategyTable({ best, buyAndHold }: DemoReport): string[] {
  const table = new PlainTable(['strategy', 'Sharpe', 'return a year', 'in all', 'worst fall', 'trades'], {
    right: FIGURES,
  })
  const row = (name: string, metrics: Metrics) => [
    name,
    metrics.sharpe.toFixed(2),
    percent(metrics.cagr),
    percent(metrics.totalReturn),
    percent(-metrics.maxDrawdown),
    count(metrics.trades),
  ]
  for (const each of best) table.push(row(`${each.fast} over ${each.slow} days`, each))
  table.push(row('buy and hold', buyAndHold))
  return table.lines()
}

function ledgerTable({ ledger, killed, leftInQueue, structure }: DemoReport, colors: Colors): string[] {
  const table = new PlainTable([], { right: FIGURES })
  const must = (value: number, wanted: number) =>
    value === wanted ? colors.green(count(value)) : colors.red(count(value))
  table.push(
    ['enqueued (acknowledged)', count(ledger.enqueued)],
    ['completed', must(ledger.completed, ledger.enqueued)],
    ['lost', must(ledger.lost.length, 0)],
    ['delivered twice', count(ledger.deliveredTwice)],
    ['left in the queue', must(leftInQueue, 0)],
    ['structure', structure.length === 0 ? colors.green('clean') : colors.red(`${structure.length} faults`)],
    ['enqueues rejected and repeated', count(ledger.rejected)],
    ['longest producer stall, one enqueue', ms(ledger.longestEnqueueMs)],
    ['longest producer stall, all together', ms(ledger.longestGapMs)],
  )
  if (ledger.unacknowledged > 0) {
    table.push(['run although not acknowledged', count(ledger.unacknowledged)])
  }
  if (killed?.master) {
    const after = killed.servedAgainAfterMs
    table.push([`shard of ${killed.master} served again after`, after === null ? 'never' : seconds(after)])
  }
  return table.lines()
}

function lostIds({ lost }: LedgerSummary): string {
  if (lost.length === 0) return ''
  return ` Lost: ${lost.slice(0, 10).join(', ')}${lost.length > 10 ? `, and ${lost.length - 10} more` : ''}`
}

const percent = (fraction: number) => `${(fraction * 100).toFixed(1)}%`
