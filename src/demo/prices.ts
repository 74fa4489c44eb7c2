import { access, readFile } from 'node:fs/promises'
import { parse } from 'csv-parse/sync'

export interface Prices {
  /** ISO dates, ascending, one per trading day. */
  readonly dates: readonly string[]
  /** Closes adjusted for splits and dividends, in the index's points. */
  readonly closes: Float64Array
}

/** Daily S&P 500 prices from 2000 to 2020, of the npm package vega-datasets. The build copies them beside this module. */
const PACKAGED = new URL('./sp500-2000.csv', import.meta.url)
/** Where they are while this module runs from its source. */
const IN_DEVELOPMENT = new URL('../../node_modules/vega-datasets/data/sp500-2000.csv', import.meta.url)

/** @throws Error naming the line when a row has no date or no positive price */
export async function loadPrices(): Promise<Prices> {
  const packaged = await access(PACKAGED).then(
    () => true,
    () => false,
  )
  return parsePrices(await readFile(packaged ? PACKAGED : IN_DEVELOPMENT, 'utf8'))
}

export function parsePrices(csv: string): Prices {
  const rows = parse<Record<string, string>>(csv, { columns: true, skip_empty_lines: true })
  const closes = new Float64Array(rows.length)
  const dates = rows.map((row, index) => {
    const close = Number(row.adjclose)
    if (!row.date || !(close > 0))
      throw new Error(`prices, row ${index + 1}: no date or no positive adjclose`)
    closes[index] = close
    return row.date
  })
  return { dates, closes }
}
