import Table from 'cli-table3'
import type { Measure } from './measures.js'
import type { BenchRow, FullReading } from './run.js'

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
}

export type Figure =
  | 'perSecond'
  | 'commandsPerSecond'
  | 'sockets'
  | 'mostMb'
  | 'clientUs'
  | 'masterUs'
  | 'replicaUs'
  | 'p50Ms'
  | 'p99Ms'
  | 'bytesPerTask'

/** undefined where no reading has the figure. */
export function summarise(readings: readonly FullReading[], figure: Figure): Summary | undefined {
  const values = readings.map((reading) => reading[figure]).filter((value) => value !== undefined)
  values.sort((a, b) => a - b)
  const [least] = values
  const most = values.at(-1)
  const median = values[Math.floor(values.length / 2)]
  if (least === undefined || most === undefined || median === undefined) return undefined
  return { median, least, most }
}

export function titleOf(measure: Measure): string {
  const size = `${measure.bytes} B`
  switch (measure.kind) {
    case 'enqueue-many':
      return `enqueue, 1,000 in a call, ${size}`
    case 'enqueue':
      return `enqueue, ${measure.concurrency.toLocaleString('en')} callers, one task each time, ${size}`
    case 'process':
      return `process, ${size}`
    case 'both':
      return `enqueue and process at once, ${size}`
    case 'deep':
      return `${measure.what}, ${measure.waiting.toLocaleString('en')} others waiting, ${size}`
    case 'flood':
      return `${measure.tasks.toLocaleString('en')} tasks ready to go, ${size}`
    case 'still':
      return `${measure.workers} workers with nothing to do`
    case 'idle':
      return `idle queue: enqueue to handler start, ${size}`
  }
}

export interface Column {
  readonly head: string
  readonly figure: Figure
  readonly digits: number
}

const COLUMNS: readonly Column[] = [
  { head: 'client µs', figure: 'clientUs', digits: 1 },
  { head: 'masters µs', figure: 'masterUs', digits: 1 },
  { head: 'replicas µs', figure: 'replicaUs', digits: 1 },
  { head: 'p50 ms', figure: 'p50Ms', digits: 2 },
  { head: 'p99 ms', figure: 'p99Ms', digits: 2 },
  { head: 'B/task', figure: 'bytesPerTask', digits: 0 },
]

/** Medians; of the rate the least and the most besides. */
export function renderBench(rows: readonly BenchRow[], colors: boolean, columns = COLUMNS): string {
  const table = new Table({
    head: ['', '', 'tasks/s (least to most)', ...columns.map(({ head }) => head)],
    colAligns: ['left', 'left', ...Array.from({ length: columns.length + 1 }, () => 'right' as const)],
    style: colors ? { compact: true } : { head: [], border: [], compact: true },
  })
  let last = ''
  for (const { measure, contender, readings } of rows) {
    const title = titleOf(measure)
    table.push([
      title === last ? '' : title,
      contender,
      measure.kind === 'idle' || measure.kind === 'still' ? '' : rate(readings),
      ...columns.map(({ figure, digits }) => summarise(readings, figure)?.median.toFixed(digits) ?? ''),
    ])
    last = title
  }
  return table.toString()
}

function rate(readings: readonly FullReading[]): string {
  const found = summarise(readings, 'perSecond')
  if (!found) return ''
  const whole = (value: number) => Math.round(value).toLocaleString('en')
  return `${whole(found.median)} (${whole(found.least)} to ${whole(found.most)})`
}
