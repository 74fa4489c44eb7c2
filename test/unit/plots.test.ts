import { describe, expect, it } from 'vitest'
import { type Drawing, OURS } from '../../scripts/bench/plot/look.js'
import { depth, growth, PLOTS, type Plot, single, svgOf, throughput } from '../../scripts/bench/plots.js'
import { both, DEPTH, GROWTH, ONE, PEERS, results, row } from '../helpers/bench-results.js'

interface Series {
  readonly name: string
  readonly xAxisIndex?: number
  readonly data: readonly unknown[]
}
const series = ({ option }: Drawing, name: string, panel?: number) =>
  (option.series as Series[]).find((each) => each.name === name && each.xAxisIndex === panel)?.data
const texts = (svg: string) => [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text]) => text)
const plotOf = (part: string) => PLOTS.find((plot) => plot.part === part) as Plot

describe('bars', () => {
  it('are as long as the medians, those of a measure below its name', () => {
    const drawing = throughput(PEERS)
    const medians = series(drawing, 'median') as { value: number }[]
    expect(medians.map(({ value }) => value)).toEqual([0, 120_000, 0, 80_000, 160_000, 8_000, 7_123])
    expect(drawing.option.yAxis).toMatchObject({
      data: ['', 'shardq', '', 'shardq', 'floor', 'BullMQ', 'BullMQ, a queue per master'],
    })
    expect(drawing.option.xAxis).toMatchObject({ type: 'value', min: 0 })
  })

  it('have the spread upon them, and the number behind it', () => {
    const drawing = throughput(PEERS)
    expect(series(drawing, 'spread')?.[1]).toEqual({
      coords: [
        [20_000, 3],
        [90_000, 3],
      ],
    })
    expect(series(drawing, 'numbers')?.[1]).toMatchObject({
      value: [90_000, 3],
      label: { formatter: '80,000' },
    })
  })

  it('name every contender and figure, and leave out what is not compared', () => {
    const said = texts(svgOf(plotOf('peers'), PEERS))
    for (const text of [
      'Tasks per second on 3 masters',
      'process',
      'enqueue and process at once',
      'floor',
      'BullMQ',
    ])
      expect(said).toContain(text)
    for (const text of ['BullMQ, a queue per master', '120,000', '80,000', '160,000', '8,000', '7,123'])
      expect(said).toContain(text)
    expect(said).not.toContain('4,321')
    expect(said).not.toContain('5,432')
    const alone = texts(svgOf(plotOf('single'), ONE))
    for (const text of ['Tasks per second on one server', 'shardq', 'floor', 'BullMQ', 'bee-queue', 'Bull'])
      expect(alone).toContain(text)
  })

  it('are of one strong colour for shardq alone', () => {
    const bars = series(single(ONE), 'median') as { itemStyle?: { color: string } }[]
    expect(bars.map(({ itemStyle }) => itemStyle?.color === OURS)).toEqual([
      false,
      true,
      false,
      false,
      false,
      false,
    ])
  })
})

describe('curves', () => {
  it('of growth go over masters, from 12 partitions on three, and over partitions', () => {
    const drawing = growth(GROWTH)
    expect(series(drawing, 'more masters', 0)).toEqual([
      [3, 6],
      [6, 8],
    ])
    expect(series(drawing, 'more partitions, 3 masters', 1)).toEqual([
      [12, 6],
      [48, 9],
      [192, 12],
    ])
    expect(series(drawing, 'spread', 0)?.[0]).toEqual({
      coords: [
        [3, 5],
        [3, 7],
      ],
    })
  })

  it('of depth go over what waits, on a log axis', () => {
    const drawing = depth(DEPTH)
    expect(series(drawing, 'enqueue', 0)).toEqual([
      [1_000, 2],
      [1_000_000, 3],
    ])
    expect(series(drawing, 'process', 1)).toEqual([[1_000, 4]])
    expect(drawing.option.xAxis).toMatchObject([{ type: 'log' }, { type: 'log' }])
  })

  it('have one y axis, from 0 to above all points', () => {
    for (const [drawing, most] of [
      [growth(GROWTH), 12],
      [depth(DEPTH), 4],
    ] as const) {
      const [left, right] = drawing.option.yAxis as { min: number; max: number }[]
      expect(left?.min).toBe(0)
      expect(left?.max).toBeGreaterThan(most)
      expect(left?.max).toBeLessThan(2 * most)
      expect([right?.min, right?.max]).toEqual([left?.min, left?.max])
    }
  })

  it('say where and what was measured', () => {
    const said = texts(svgOf(plotOf('depth'), DEPTH))
    for (const text of ['enqueue', 'process', '1,000', '1,000,000', '2.0', '3.0', '4.0'])
      expect(said).toContain(text)
  })
})

describe.each([
  { part: 'peers', input: PEERS },
  { part: 'growth', input: GROWTH },
  { part: 'depth', input: DEPTH },
  { part: 'single', input: ONE },
])('the plot of $part', ({ part, input }) => {
  const plot = plotOf(part)

  it('is the same for the same figures, on white, with the machine and the command', () => {
    const svg = svgOf(plot, input)
    expect(svgOf(plot, structuredClone(input))).toBe(svg)
    expect(svg).toMatch(/^<svg[^>]*>\n<rect[^>]* fill="#ffffff"/)
    expect(svg).not.toMatch(/NaN|undefined|Infinity/)
    expect(texts(svg).join(' ')).toContain(
      `npm run bench -- --part ${part}: 2 cores (Some CPU &lt;fast&gt; &amp; cheap), Node 20.1.2, Redis 7.0.3`,
    )
  })

  it('is not drawn of nothing', () => {
    const nothing = `${part}: there is nothing to draw`
    expect(() => svgOf(plot, results())).toThrow(nothing)
    expect(() => svgOf(plot, results([3, row('shardq', both)]))).toThrow(nothing)
  })
})
