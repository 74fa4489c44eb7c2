import Table from 'cli-table3'
import type { Measure } from './measures.js'
import type { BenchRow, FullReading } from './run.js'

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
}

export type Figure = 'perSecond' | 'clientUs' | 'masterUs' | 'replicaUs' | 'p50Ms' | 'p99Ms' | 'bytesPerTask'

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
    case 'idle':
      return `idle queue: enqueue to handler start, ${size}`
  }
}

export function renderBench(rows: readonly BenchRow[], colors: boolean): string {
  const table = new Table({
    head: [
      '',
      '',
      'tasks/s (least to most)',
      'client µs',
      'masters µs',
      'replicas µs',
      'p50 ms',
      'p99 ms',
      'B/task',
    ],
    colAligns: ['left', 'left', ...Array.from({ length: 7 }, () => 'right' as const)],
    style: colors ? { compact: true } : { head: [], border: [], compact: true },
  })
  let last = ''
  for (const { measure, contender, readings } of rows) {
    const title = titleOf(measure)
    const cell = (figure: Figure, digits: number) => {
      const found = summarise(readings, figure)
      return found === undefined ? '' : found.median.toFixed(digits)
    }
    table.push([
      title === last ? '' : title,
      contender,
      measure.kind === 'idle' ? '' : rate(readings),
      cell('clientUs', 1),
      cell('masterUs', 1),
      cell('replicaUs', 1),
      cell('p50Ms', 2),
      cell('p99Ms', 2),
      cell('bytesPerTask', 0),
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
