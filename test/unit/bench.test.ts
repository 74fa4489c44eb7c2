import { describe, expect, it } from 'vitest'
import { type FullReading, renderBench, summarise } from '../../src/bench/index.js'

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
})
