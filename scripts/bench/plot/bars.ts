import type { Measure } from '../../../src/bench/index.js'
import { colorOf, type Drawing, FOOT, frame, HEAD, INK, spread, VALUE_AXIS, type Words } from './look.js'
import { type BenchResults, type Mark, markOf, type Row, readingsOf, rowsOf } from './results.js'

export interface Group {
  readonly name: string
  readonly has: (measure: Measure) => boolean
}

/** Of the measures that a run takes, those that a reader asks for first; the tables have the rest. */
export const GROUPS: readonly Group[] = [
  { name: 'enqueue, 1,000 in a call', has: ({ kind, bytes }) => kind === 'enqueue-many' && bytes === 100 },
  {
    name: 'enqueue, 1,000 callers, one task each time',
    has: (measure) => measure.kind === 'enqueue' && measure.concurrency === 1_000 && measure.bytes === 100,
  },
  { name: 'process', has: ({ kind, bytes }) => kind === 'process' && bytes === 100 },
  { name: 'enqueue and process at once', has: ({ kind, bytes }) => kind === 'both' && bytes === 100 },
]

/** A line of the plot: the name of a group, or a bar of it. */
type Line = { readonly group: string } | { readonly bar: Mark<string> }

const LINE_HEIGHT = 23
const TOP = HEAD + 16
/** Of the longest name of a contender, at the left; and of the longest number, at the right. */
const NAMES = 204
const NUMBERS = 76

/** Tasks per second: a group of bars for each measure, a bar for each contender. */
export function bars(words: Omit<Words, 'subtitle'>, results: BenchResults): Drawing {
  const rows = rowsOf(results).filter(({ measure }) => GROUPS.some(({ has }) => has(measure)))
  const lines = GROUPS.flatMap((group) => linesOf(group, rows))
  if (lines.length === 0)
    throw new Error(
      `${words.part}: there is nothing to draw, it has no reading of: ${GROUPS.map(({ name }) => name).join('; ')}`,
    )
  const marks = lines.flatMap((line, at) => ('bar' in line ? [{ ...line.bar, at }] : []))
  const subtitle =
    `tasks of 100 bytes; median of ${readingsOf(rows)}, the thin line from the least to the most\n` +
    'the floor: the same Redis calls in the same batches, with nothing around them'
  return {
    height: TOP + LINE_HEIGHT * lines.length + 30 + FOOT,
    option: {
      ...frame({ ...words, subtitle }, results),
      grid: { left: NAMES, right: NUMBERS, top: TOP, height: LINE_HEIGHT * lines.length },
      xAxis: VALUE_AXIS,
      yAxis: {
        type: 'category',
        inverse: true,
        data: lines.map((line) => ('bar' in line ? line.bar.at : '')),
        axisLine: { show: false },
        axisTick: { show: false },
        axisLabel: { color: INK, fontSize: 12, interval: 0 },
      },
      series: [
        {
          type: 'bar',
          name: 'median',
          silent: true,
          barWidth: 15,
          data: lines.map((line) =>
            'bar' in line
              ? { value: line.bar.median, itemStyle: { color: colorOf(line.bar.at) } }
              : // No bar, but a label where one would begin.
                { value: 0, label: heading(line.group) },
          ),
        },
        spread(
          marks.map(({ at, least, most }) => [
            [least, at],
            [most, at],
          ]),
        ),
        // The numbers stand behind the line of the spread, not upon it; dots of no size carry them there.
        {
          type: 'scatter',
          name: 'numbers',
          silent: true,
          symbolSize: 0,
          itemStyle: { opacity: 1 },
          data: marks.map(({ at, median, most }) => ({
            value: [most, at],
            label: {
              show: true,
              position: 'right' as const,
              color: INK,
              fontSize: 12,
              formatter: Math.round(median).toLocaleString('en'),
            },
          })),
        },
      ],
    },
  }
}

function linesOf({ name, has }: Group, rows: readonly Row[]): Line[] {
  const found = rows
    .filter(({ measure }) => has(measure))
    .flatMap((row) => markOf(row.contender, row, 'perSecond'))
  return found.length === 0 ? [] : [{ group: name }, ...found.map((bar) => ({ bar }))]
}

function heading(text: string) {
  return {
    show: true,
    position: 'right' as const,
    distance: 0,
    offset: [0, 2],
    color: INK,
    fontSize: 12,
    fontWeight: 600,
    formatter: text,
  }
}
