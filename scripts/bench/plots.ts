import { bars } from './plot/bars.js'
import { curves, type Panel } from './plot/curves.js'
import { type Drawing, toSvg } from './plot/look.js'
import { type BenchResults, type Mark, markOf, type Row, readingsOf, rowsOf } from './plot/results.js'

export interface Plot {
  /** The part of the bench that it shows, and the name of the file with its results. */
  readonly part: string
  readonly file: string
  /** @throws Error if the results have nothing that it shows */
  readonly draw: (results: BenchResults) => Drawing
}

export const PLOTS: readonly Plot[] = [
  { part: 'peers', file: 'throughput.svg', draw: throughput },
  { part: 'growth', file: 'growth.svg', draw: growth },
  { part: 'depth', file: 'depth.svg', draw: depth },
  { part: 'single', file: 'single.svg', draw: single },
]

export function svgOf({ draw }: Plot, results: BenchResults): string {
  return toSvg(draw(results))
}

export function throughput(results: BenchResults): Drawing {
  const [masters] = rowsOf(results).map((row) => row.masters)
  return bars({ title: `Tasks per second on ${masters} masters`, part: 'peers' }, results)
}

export function single(results: BenchResults): Drawing {
  return bars({ title: 'Tasks per second on one server', part: 'single' }, results)
}

/** The contenders of this part are all shardq, and named after what differs: `48 partitions`, `shardq, 6 masters`. */
export function growth(results: BenchResults): Drawing {
  const rows = rowsOf(results).filter(({ measure }) => measure.kind === 'both')
  const partitions = (row: Row) => Number(/^(\d+) partitions$/.exec(row.contender)?.[1])
  const byMasters = rows.filter((row) => row.contender.startsWith('shardq, ') || partitions(row) === 12)
  const byPartitions = rows.filter((row) => partitions(row) > 0)
  const points = (of: readonly Row[], at: (row: Row) => number): Mark<number>[] =>
    of.flatMap((row) => markOf(at(row), row, 'clientUs'))
  const where = byPartitions[0] ? `, ${byPartitions[0].masters} masters` : ''
  const panels: Panel[] = [
    {
      name: 'more masters',
      over: 'masters',
      scale: 'value',
      points: points(byMasters, (row) => row.masters),
    },
    {
      name: `more partitions${where}`,
      over: 'partitions (log scale)',
      scale: 'log',
      points: points(byPartitions, partitions),
    },
  ]
  const subtitle = `µs per task, enqueue and process at once; median of ${readingsOf(rows)}, the thin line from the least to the most`
  return curves(
    { title: 'CPU of the client as the cluster grows', subtitle, part: 'growth' },
    panels,
    results,
  )
}

export function depth(results: BenchResults): Drawing {
  const rows = rowsOf(results).filter(({ measure }) => measure.kind === 'deep')
  const panels = (['enqueue', 'process'] as const).map((what): Panel => {
    const points = rows.flatMap((row) =>
      row.measure.kind === 'deep' && row.measure.what === what
        ? markOf(row.measure.waiting, row, 'masterUs')
        : [],
    )
    return { name: what, over: 'others waiting (log scale)', scale: 'log', points }
  })
  const subtitle = `µs per task on all masters together; median of ${readingsOf(rows)}, the thin line from the least to the most`
  return curves({ title: 'CPU of the masters as more tasks wait', subtitle, part: 'depth' }, panels, results)
}
