import type { DrillReport } from '../../src/drill/index.js'
import { RESTARTED } from './bullmq-queue.js'

type Row = readonly [name: string, of: (report: DrillReport) => string]

const seconds = (ms: number | null) =>
  ms === null ? 'never' : ms < 1_000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`
const count = (value: number) => value.toLocaleString('en-US')

const ROWS: readonly Row[] = [
  ['longest enqueue', ({ stall }) => seconds(stall.longestMs)],
  [
    'longest enqueue with a partition key',
    ({ stall, shards }) => (hasKeys(shards) ? seconds(stall.longestWithKeyMs) : 'has none'),
  ],
  ['longest time with no enqueue acknowledged', ({ stall }) => seconds(stall.noneAcknowledgedMs)],
  ['enqueues rejected', ({ load }) => count(load.rejected)],
  ['tasks acknowledged', ({ load }) => count(load.acknowledged)],
  ['acknowledged and lost', ({ ledger }) => count(ledger.lost.length)],
  [
    'still in the queue in the end',
    ({ load }) => (load.heldInTheEnd === null ? 'unknown' : count(load.heldInTheEnd)),
  ],
  ['ids given twice', ({ ledger }) => count(ledger.acknowledgedTwice.length)],
  ['delivered twice', ({ ledger }) => count(ledger.deliveredTwice)],
  ['the worker had to be started anew', ({ complaints }) => (complaints.some(isRestart) ? 'yes' : 'no')],
  ['a replica was promoted after', ({ failover }) => seconds(failover.promotionMs)],
  ['tasks that waited there run again after', ({ client }) => seconds(client.runsAgainMs)],
]

const isRestart = (complaint: string) => complaint.includes(RESTARTED)

/** A queue that lies on one master has no use for keys. */
const hasKeys = (shards: DrillReport['shards']) =>
  shards.filter(({ beforePerS }) => beforePerS > 0).length > 1

export interface Comparison {
  readonly kind: string
  readonly shardq: DrillReport
  readonly bullmq: DrillReport
}

/** One Markdown table; two columns for each kind of fault. */
export function table(comparisons: readonly Comparison[]): string {
  const head = ['', ...comparisons.flatMap(({ kind }) => [`${kind}: shardq`, `${kind}: BullMQ`])]
  const rows = ROWS.map(([name, of]) => [
    name,
    ...comparisons.flatMap(({ shardq, bullmq }) => [of(shardq), of(bullmq)]),
  ])
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '--:'))), ...rows.map(line)].join(
    '\n',
  )
}
