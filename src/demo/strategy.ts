/** A moving-average crossover: hold the index while the mean of `fast` days is above that of `slow` days. */
export interface Crossover {
  /** Days. */
  readonly fast: number
  /** Days, more than `fast`. */
  readonly slow: number
}

/** All figures after costs. A year has 252 trading days. Fractions, not percent: 0.1 is 10%. */
export interface Metrics {
  readonly totalReturn: number
  /** Compound annual growth rate. */
  readonly cagr: number
  /** Largest fall from a peak of the daily equity, as a positive fraction of that peak. */
  readonly maxDrawdown: number
  /** Mean daily return over its standard deviation, annualised; no interest on cash. 0 if nothing varied. */
  readonly sharpe: number
  /** Purchases; each is sold again, at the end of the data if not before. */
  readonly trades: number
}

export interface Period {
  /** First day, as an index, at whose close a position may be taken. At least `slow - 1`. */
  readonly start: number
  /** Fraction of the position that buying costs, and selling once more. */
  readonly costPerSide: number
}

/** 5 basis points: more than an index fund's spread, for one has to trade at the close to get the close. */
export const COST_PER_SIDE = 0.0005
const DAYS_PER_YEAR = 252

/** `sums[i]` is the sum of the first i prices: any moving average is then one subtraction, whatever its length. */
export function prefixSums(closes: Float64Array): Float64Array {
  const sums = new Float64Array(closes.length + 1)
  for (let day = 0; day < closes.length; day++) sums[day + 1] = at(sums, day) + at(closes, day)
  return sums
}

/**
 * One back-test, O(days). The signal at the close of day t earns the return from t to t+1, so nothing is
 * decided with a price that was not yet known.
 */
export function backtest(
  closes: Float64Array,
  sums: Float64Array,
  { fast, slow }: Crossover,
  period: Period,
): Metrics {
  const mean = (day: number, days: number) => (at(sums, day + 1) - at(sums, day + 1 - days)) / days
  return simulate(closes, period, (day) => mean(day, fast) > mean(day, slow))
}

/** The yardstick: bought on the first day of the period, sold on the last, at the same costs. */
export function buyAndHold(closes: Float64Array, period: Period): Metrics {
  return simulate(closes, period, () => true)
}

function simulate(closes: Float64Array, period: Period, wantsLong: (day: number) => boolean): Metrics {
  const { start, costPerSide } = period
  const days = closes.length - 1 - start
  let long = false
  let trades = 0
  let equity = 1
  let peak = 1
  let maxDrawdown = 0
  let sum = 0
  let sumOfSquares = 0
  for (let day = start; day < closes.length - 1; day++) {
    let growth = 1
    const wanted = wantsLong(day)
    if (wanted !== long) {
      growth *= 1 - costPerSide
      if (wanted) trades++
      long = wanted
    }
    if (long) growth *= at(closes, day + 1) / at(closes, day)
    const isLastDay = day === closes.length - 2
    if (long && isLastDay) growth *= 1 - costPerSide

    equity *= growth
    peak = Math.max(peak, equity)
    maxDrawdown = Math.max(maxDrawdown, 1 - equity / peak)
    sum += growth - 1
    sumOfSquares += (growth - 1) ** 2
  }
  const mean = sum / days
  const deviation = Math.sqrt(Math.max(0, (sumOfSquares - days * mean * mean) / (days - 1)))
  return {
    totalReturn: equity - 1,
    cagr: equity ** (DAYS_PER_YEAR / days) - 1,
    maxDrawdown,
    sharpe: deviation > 0 ? (mean / deviation) * Math.sqrt(DAYS_PER_YEAR) : 0,
    trades,
  }
}

/** Element of an array at an index that is known to lie within it. */
function at(values: Float64Array, index: number): number {
  return values[index] as number
}
