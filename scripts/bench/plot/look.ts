import * as echarts from 'echarts'
import type { BenchResults } from './results.js'

/** Quiet greys on white, for GitHub shows the same picture on a light and on a dark page. */
export const INK = '#24292f'
export const QUIET = '#57606a'
export const GRID = '#e6e8eb'
const PAPER = '#ffffff'

/** The one strong colour is ours; the floor is lighter than others, as it is no queue. */
export const OURS = '#0b6bcb'
const FLOOR = '#d5d9de'
const OTHERS = '#a3abb5'

export function colorOf(contender: string): string {
  return contender === 'shardq' ? OURS : contender === 'floor' ? FLOOR : OTHERS
}

/** About what a README is wide on GitHub. */
export const WIDTH = 820
const MARGIN = 24
/** Of the title and the line below it. */
export const HEAD = 64
/** Of the footer, which takes a second line where the name of the CPU is long. */
export const FOOT = 48

export interface Drawing {
  readonly height: number
  readonly option: echarts.EChartsOption
}

export interface Words {
  readonly title: string
  readonly subtitle: string
  /** The part of the bench that was measured. */
  readonly part: string
}

/** What all plots have: paper, letters, title, and a footer that says where the figures come from. */
export function frame({ title, subtitle, part }: Words, { machine }: BenchResults) {
  const node = machine.node.replace(/^v/, '')
  const cores = `${machine.cores} core${machine.cores === 1 ? '' : 's'}`
  return {
    animation: false,
    backgroundColor: PAPER,
    textStyle: {
      fontFamily: "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
      color: INK,
    },
    title: [
      {
        text: title,
        subtext: subtitle,
        left: MARGIN,
        top: 16,
        padding: 0,
        itemGap: 7,
        textStyle: { fontSize: 17, fontWeight: 600, color: INK },
        subtextStyle: { fontSize: 12, lineHeight: 17, color: QUIET },
      },
      {
        subtext: `npm run bench -- --part ${part}: ${cores} (${machine.cpu}), Node ${node}, Redis ${machine.redis}`,
        left: MARGIN,
        bottom: 12,
        padding: 0,
        itemGap: 0,
        textStyle: { fontSize: 0 },
        // Well before the edge: without a screen ECharts only guesses how wide letters are.
        subtextStyle: { fontSize: 11, lineHeight: 15, color: QUIET, width: 620, overflow: 'break' },
      },
    ],
  } satisfies echarts.EChartsOption
}

export const VALUE_AXIS = {
  type: 'value',
  min: 0,
  axisLine: { show: false },
  axisTick: { show: false },
  axisLabel: { color: QUIET, fontSize: 11 },
  splitLine: { lineStyle: { color: GRID } },
} as const

/** Thin lines from the least to the most that was measured, each between two points. */
export function spread(lines: readonly (readonly [least: number[], most: number[]])[]) {
  return {
    type: 'lines',
    name: 'spread',
    coordinateSystem: 'cartesian2d',
    silent: true,
    z: 4,
    lineStyle: { color: INK, width: 1.5, opacity: 1 },
    data: lines.map(([least, most]) => ({ coords: [least, most] })),
  } satisfies echarts.LinesSeriesOption
}

export function toSvg({ height, option }: Drawing): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption(option)
    // ECharts counts its charts and classes on and on: the same figures would give another file the next time. The classes
    // are for a pointer that hovers, which a picture does not have.
    const svg = chart
      .renderToSVGString()
      .replaceAll(/\bzr\d+-c(?=\d)/g, 'clip-')
      .replaceAll(/ class="zr\d+-cls-\d+"/g, '')
      .replace(/<style >.*?<\/style>\n/s, '')
    return `${svg}\n`
  } finally {
    chart.dispose()
  }
}
