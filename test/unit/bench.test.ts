import { describe, expect, it } from 'vitest'
import { choose, PART_NAMES, partsOf } from '../../scripts/bench/parts.js'
import { type FullReading, renderBench, summarise } from '../../src/bench/index.js'
import { shareOut } from '../../src/bench/measures.js'

const reading = (perSecond: number, p99Ms?: number): FullReading => ({
  tasks: 1_000,
  ms: 1_000_000 / perSecond,
  clientUs: 5,
  p50Ms: undefined,
  p99Ms,
  sockets: 9,
  mostMb: 80,
  perSecond,
  commandsPerSecond: 100,
  masterUs: 3,
  replicaUs: 1,
  bytesPerTask: undefined,
})

describe('what is said of several readings', () => {
  it('is the median, with the least and the most', () => {
    const readings = [300, 100, 250, 900, 200].map((perSecond) => reading(perSecond))
    expect(summarise(readings, 'perSecond')).toEqual({ median: 250, least: 100, most: 900 })
  })

  it('is nothing where no reading has the figure', () => {
    expect(summarise([reading(1)], 'p99Ms')).toBeUndefined()
    expect(summarise([], 'perSecond')).toBeUndefined()
    expect(summarise([reading(1), reading(1, 7)], 'p99Ms')).toEqual({ median: 7, least: 7, most: 7 })
  })

  it('lines up, each measure named once', () => {
    const measure = { kind: 'enqueue-many', bytes: 100, tasks: 1_000 } as const
    const rows = ['shardq', 'floor'].map((contender) => ({ measure, contender, readings: [reading(12_345)] }))
    const lines = renderBench(rows, false).split('\n')
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(lines.filter((line) => line.includes('1,000 in a call'))).toHaveLength(1)
    expect(lines.filter((line) => line.includes('12,345 (12,345 to 12,345)'))).toHaveLength(2)
  })

  it('has the figures that were asked for, each headed and rounded in its own way', () => {
    const measure = { kind: 'still', workers: 1, bytes: 100, tasks: 1 } as const
    const rows = [{ measure, contender: 'shardq', readings: [reading(12_345)] }]
    const text = renderBench(rows, false, ['sockets', 'commandsPerSecond'])
    expect(text).toMatch(/sockets.*commands\/s/)
    expect(text).not.toContain('client µs')
    expect(text).toMatch(/1 worker with nothing to do.* 9 .* 100\.0 /)
  })
})

describe('handlers shared out among workers', () => {
  it('are as many as before, and nobody has more than one above another', () => {
    for (const workers of [1, 4, 16, 64]) {
      const shares = shareOut(1_000, workers)
      expect(shares).toHaveLength(workers)
      expect(shares.reduce((sum, share) => sum + share, 0)).toBe(1_000)
      expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
    }
  })

  it('are refused where some worker would have none', () => {
    expect(shareOut(4, 4)).toEqual([1, 1, 1, 1])
    expect(() => shareOut(3, 4)).toThrow(RangeError)
  })
})

describe('the parts of npm run bench', () => {
  const growth = partsOf('growth', 1_000)

  it('each have a title of their own', () => {
    const titles = PART_NAMES.flatMap((name) => partsOf(name, 1_000).map(({ title }) => title))
    expect(new Set(titles).size).toBe(titles.length)
  })

  it('are left whole where nothing is chosen', () => {
    expect(choose(growth, {})).toEqual(growth)
  })

  it('are cut down to what is chosen, and those with nothing left are not run', () => {
    const [chosen, ...others] = choose(growth, { kinds: ['workers'] })
    expect(others).toEqual([])
    expect(chosen?.measures.map((measure) => measure.kind === 'workers' && measure.workers)).toEqual([
      1, 4, 16, 64,
    ])
    expect(choose(growth, { contenders: ['48 partitions'] }).map(({ title }) => title)).toEqual([
      'partitions, 3 masters',
    ])
    expect(choose(growth, { kinds: ['idle'] })).toEqual([])
  })
})
