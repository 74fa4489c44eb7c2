import type { LineSeriesOption, ScatterSeriesOption, XAXisComponentOption } from 'echarts'
import {
  type Drawing,
  FOOT,
  frame,
  HEAD,
  INK,
  OURS,
  QUIET,
  spread,
  VALUE_AXIS,
  WIDTH,
  type Words,
} from './look.js'
import type { BenchResults, Mark } from './results.js'

/** A small plot of its own: one figure over one number. */
export interface Panel {
  readonly name: string
  /** What goes to the right. */
  readonly over: string
  readonly scale: 'value' | 'log'
  readonly points: readonly Mark<number>[]
}

const LEFT = 52
const GAP = 56
const TOP = HEAD + 30
const HEIGHT = 190
const STEPS = 4
const ROUND = [1, 1.5, 2, 2.5, 3, 4, 5, 7.5]

/** Panels side by side, with the same y axis from 0: what is flat looks flat, and they can be compared. */
export function curves(words: Words, panels: readonly Panel[], results: BenchResults): Drawing {
  const drawn = panels
    .filter(({ points }) => points.length > 0)
    .map((panel) => ({ ...panel, points: [...panel.points].sort((a, b) => a.at - b.at) }))
  if (drawn.length === 0)
    throw new Error(
      `${words.part}: there is nothing to draw, it has no reading for: ${panels.map(({ name }) => name).join('; ')}`,
    )
  const width = (WIDTH - LEFT - 24 - GAP * (drawn.length - 1)) / drawn.length
  const lefts = drawn.map((_, i) => LEFT + i * (width + GAP))
  const scale = scaleFor(Math.max(...drawn.flatMap(({ points }) => points.map(({ most }) => most))))
  const { title, ...rest } = frame(words, results)
  return {
    height: TOP + HEIGHT + 52 + FOOT,
    option: {
      ...rest,
      title: [
        ...title,
        ...drawn.map(({ name }, i) => ({
          text: name,
          left: lefts[i] ?? 0,
          top: HEAD + 4,
          padding: 0,
          textStyle: { fontSize: 12, fontWeight: 600, color: INK },
        })),
      ],
      grid: lefts.map((left) => ({ left, width, top: TOP, height: HEIGHT })),
      xAxis: drawn.map((panel, i) => ({ gridIndex: i, ...xAxis(panel) })),
      yAxis: drawn.map((_, i) => ({ ...VALUE_AXIS, gridIndex: i, ...scale })),
      series: drawn.flatMap(({ name, points }, i) => [
        { ...line(name, points), xAxisIndex: i, yAxisIndex: i },
        {
          ...spread(
            points.map(({ at, least, most }) => [
              [at, least],
              [at, most],
            ]),
          ),
          xAxisIndex: i,
          yAxisIndex: i,
        },
        { ...numbers(points), xAxisIndex: i, yAxisIndex: i },
      ]),
    },
  }
}

/** Four round steps from 0, with room for a number above the highest point. */
function scaleFor(most: number): { readonly interval: number; readonly max: number } {
  const wanted = (most * 1.15) / STEPS
  const unit = 10 ** Math.floor(Math.log10(wanted))
  const interval = unit * (ROUND.find((factor) => factor * unit >= wanted) ?? 10)
  return { interval, max: interval * STEPS }
}

/** Ticks are where something was measured, and nowhere else. */
function xAxis({ over, scale, points }: Panel): XAXisComponentOption {
  const values = points.map(({ at }) => at)
  const [least, most] = [Math.min(...values), Math.max(...values)]
  // At both ends, the same share of the axis on both scales; a single point stands in the middle of some.
  const room = scale === 'log' ? (most > least ? most / least : 10) ** 0.12 : (most - least || 1) * 0.12
  return {
    type: scale,
    min: scale === 'log' ? least / room : least - room,
    max: scale === 'log' ? most * room : most + room,
    name: over,
    nameLocation: 'middle',
    nameGap: 28,
    nameTextStyle: { color: QUIET, fontSize: 12 },
    axisLine: { lineStyle: { color: QUIET }, onZero: false },
    axisTick: { customValues: values },
    axisLabel: {
      customValues: values,
      color: QUIET,
      fontSize: 11,
      formatter: (value: number) => value.toLocaleString('en'),
    },
    splitLine: { show: false },
  }
}

function line(name: string, points: readonly Mark<number>[]): LineSeriesOption {
  return {
    type: 'line',
    name,
    silent: true,
    symbol: 'circle',
    symbolSize: 7,
    color: OURS,
    lineStyle: { width: 2.5 },
    data: points.map(({ at, median }) => [at, median]),
  }
}

function numbers(points: readonly Mark<number>[]): ScatterSeriesOption {
  return {
    type: 'scatter',
    name: 'numbers',
    silent: true,
    symbolSize: 0,
    itemStyle: { opacity: 1 },
    data: points.map(({ at, median, most }) => ({
      value: [at, most],
      label: {
        show: true,
        position: 'top',
        distance: 7,
        color: INK,
        fontSize: 12,
        formatter: median.toFixed(1),
      },
    })),
  }
}
