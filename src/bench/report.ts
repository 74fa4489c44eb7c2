import Table from 'cli-table3'
import type { Measure } from './measures.js'
import type { BenchRow, FullReading } from './run.js'

export interface Summary {
  readonly median: number
  readonly least: number
  readonly most: number
}

/** How each figure is headed, and rounded, wherever it is shown. */
const COLUMNS = {
  perSecond: { head: 'tasks/s', digits: 0 },
  commandsPerSecond: { head: 'commands/s', digits: 1 },
  sockets: { head: 'sockets', digits: 0 },
  mostMb: { head: 'most MB', digits: 0 },
  clientUs: { head: 'client µs', digits: 1 },
  masterUs: { head: 'masters µs', digits: 1 },
  replicaUs: { head: 'replicas µs', digits: 1 },
  p50Ms: { head: 'p50 ms', digits: 2 },
  p99Ms: { head: 'p99 ms', digits: 2 },
  bytesPerTask: { head: 'B/task', digits: 0 },
} as const satisfies {
  readonly [F in keyof FullReading]?: { readonly head: string; readonly digits: number }
}

export type Figure = keyof typeof COLUMNS

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
    case 'workers':
      return `enqueue and process at once, ${workers(measure.workers)}, ${size}`
    case 'deep':
      return `${measure.what}, ${measure.waiting.toLocaleString('en')} others waiting, ${size}`
    case 'flood':
      return `${measure.tasks.toLocaleString('en')} tasks ready to go, from ${measure.from === 'array' ? 'an array' : 'a generator'}, ${size}`
    case 'still':
      return `${workers(measure.workers)} with nothing to do`
    case 'idle':
      return `idle queue: enqueue to handler start, ${size}`
  }
}

function workers(count: number): string {
  return count === 1 ? '1 worker' : `${count} workers`
}

/** What tells queues apart. */
const COMPARED: readonly Figure[] = ['clientUs', 'masterUs', 'replicaUs', 'p50Ms', 'p99Ms', 'bytesPerTask']

/** Medians; of the rate the least and the most besides. */
export function renderBench(rows: readonly BenchRow[], colors: boolean, figures = COMPARED): string {
  const table = new Table({
    head: [
      '',
      '',
      `${COLUMNS.perSecond.head} (least to most)`,
      ...figures.map((figure) => COLUMNS[figure].head),
    ],
    colAligns: ['left', 'left', ...Array.from({ length: figures.length + 1 }, () => 'right' as const)],
    style: colors ? { compact: true } : { head: [], border: [], compact: true },
  })
  let last = ''
  for (const { measure, contender, readings } of rows) {
    const title = titleOf(measure)
    table.push([
      title === last ? '' : title,
      contender,
      measure.kind === 'idle' || measure.kind === 'still' ? '' : rate(readings),
      ...figures.map((figure) => summarise(readings, figure)?.median.toFixed(COLUMNS[figure].digits) ?? ''),
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
