import { describe, expect, it } from 'vitest'
import { ALL_PAIRS, FIRST_DAY, makeGrid, priorityOf } from '../../src/demo/grid.js'
import { loadPrices, parsePrices } from '../../src/demo/prices.js'
import { backtest, buyAndHold, COST_PER_SIDE, prefixSums } from '../../src/demo/strategy.js'

/**
 * Fast 1, slow 2, from day 1: long at the closes of days 1 and 2 (11 > 10.5, 12 > 11.5), flat at 3 and 4
 * (11 < 11.5, 10 < 10.5), long at day 5 (11 > 10.5). So it earns 12/11, 11/12 and 13/11.
 */
const closes = Float64Array.of(10, 11, 12, 11, 10, 11, 13)
const run = (costPerSide: number) =>
  backtest(closes, prefixSums(closes), { fast: 1, slow: 2 }, { start: 1, costPerSide })

describe('backtest', () => {
  it('agrees with a calculation by hand', () => {
    const { totalReturn, cagr, maxDrawdown, sharpe, trades } = run(0)
    expect(totalReturn).toBeCloseTo(13 / 11 - 1, 12)
    expect(cagr).toBeCloseTo((13 / 11) ** (252 / 5) - 1, 6)
    expect(maxDrawdown).toBeCloseTo(1 / 12, 12)
    expect(trades).toBe(2)
    // Daily returns 1/11, -1/12, 0, 0, 2/11: mean 0.0378788, sample deviation 0.1013570.
    expect(sharpe).toBeCloseTo((0.0378788 / 0.101357) * Math.sqrt(252), 3)
  })

  it('charges each side, and the sale at the end', () => {
    expect(run(0.01).totalReturn).toBeCloseTo((13 / 11) * 0.99 ** 4 - 1, 12)
  })

  it('does not look ahead: the last price decides nothing', () => {
    const other = Float64Array.from(closes)
    other[6] = 1
    const result = backtest(other, prefixSums(other), { fast: 1, slow: 2 }, { start: 1, costPerSide: 0 })
    expect(result.totalReturn).toBeCloseTo(1 / 11 - 1, 12)
    expect(result.trades).toBe(2)
  })

  it('has no Sharpe ratio where nothing varies', () => {
    const flat = Float64Array.of(5, 5, 5, 5)
    expect(backtest(flat, prefixSums(flat), { fast: 1, slow: 2 }, { start: 1, costPerSide: 0 })).toEqual({
      totalReturn: 0,
      cagr: 0,
      maxDrawdown: 0,
      sharpe: 0,
      trades: 0,
    })
  })

  it('holds the index from first to last with buyAndHold', () => {
    const held = buyAndHold(closes, { start: 1, costPerSide: 0.01 })
    expect(held.totalReturn).toBeCloseTo((13 / 11) * 0.99 ** 2 - 1, 12)
    expect(held.trades).toBe(1)
  })
})

describe('the grid', () => {
  it('holds every pair once, fast below slow', () => {
    const grid = makeGrid(ALL_PAIRS)
    expect(new Set(grid.map(({ fast, slow }) => `${fast}/${slow}`)).size).toBe(ALL_PAIRS)
    expect(grid.every(({ fast, slow }) => fast < slow && slow - 1 <= FIRST_DAY)).toBe(true)
    expect(grid.at(-1)).toEqual({ fast: 104, slow: 304 })
  })

  it('can be thinned, and refuses what it cannot give', () => {
    expect(makeGrid(4).map(({ fast }) => fast)).toEqual([5, 30, 55, 80])
    expect(() => makeGrid(ALL_PAIRS + 1)).toThrow(
      '--tasks: expected a whole number from 1 to 20000, got 20001',
    )
    expect(() => makeGrid(Number.NaN)).toThrow('--tasks')
  })

  it('mixes priorities', () => {
    const counts = { high: 0, medium: 0, low: 0 }
    for (let index = 0; index < 100; index++) counts[priorityOf(index)]++
    expect(counts).toEqual({ high: 20, medium: 50, low: 30 })
  })
})

describe('the prices', () => {
  it('are the ones of the S&P 500', async () => {
    const { dates, closes: prices } = await loadPrices()
    expect([dates[0], dates.at(-1)]).toEqual(['2000-01-03', '2020-04-17'])
    expect(prices[0]).toBeCloseTo(1455.22, 2)
    const held = buyAndHold(prices, { start: 0, costPerSide: 0 })
    expect(held.totalReturn).toBeCloseTo(2874.560059 / 1455.219971 - 1, 9)
    // The fall from October 2007 to March 2009.
    expect(held.maxDrawdown).toBeCloseTo(0.568, 3)
    expect(COST_PER_SIDE).toBe(0.0005)
  })

  it('must be there in every row', () => {
    expect(() => parsePrices('date,adjclose\n2000-01-03,1\n2000-01-04,null\n')).toThrow('row 2')
  })
})
