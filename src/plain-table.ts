import { escapedLine, shortened, widthOf } from './colours.js'

/** A list has a line for each of its texts; a line end within a text is part of a name. */
export type Cell = string | number | readonly string[]

export interface TableOptions {
  /** Columns of figures, counted from 0. Default: none */
  readonly right?: readonly number[]
  /** Without rules between rows. Default: true */
  readonly compact?: boolean
}

/** A line of a cell as it is written, and the columns that it takes there. */
interface Line {
  readonly text: string
  readonly width: number
}

/**
 * A table of names that servers and users have chosen. Drawn here and in one go: cli-table3 shortens the whole of a cell letter by letter
 * for each line of it, so that one server with long texts of other than ASCII had `cluster check` busy for an hour.
 */
export class PlainTable {
  readonly #rows: Line[][][] = []

  constructor(
    head: readonly string[],
    private readonly options: TableOptions = {},
  ) {
    this.push(head)
  }

  push(...rows: readonly (readonly Cell[])[]): void {
    for (const row of rows) this.#rows.push(row.map(linesOf))
  }

  lines(): string[] {
    const columns = this.#rows.reduce((most, row) => Math.max(most, row.length), 0)
    const widths = Array.from({ length: columns }, (_, column) =>
      this.#rows.flatMap((row) => row[column] ?? []).reduce((most, { width }) => Math.max(most, width), 0),
    )
    const rule = (left: string, middle: string, right: string) =>
      `${left}${widths.map((width) => '─'.repeat(width + 2)).join(middle)}${right}`
    const body = this.#rows.flatMap((row, index) => {
      const isRuled = index === 1 || (index > 1 && this.options.compact === false)
      return [...(isRuled ? [rule('├', '┼', '┤')] : []), ...this.#drawn(row, widths)]
    })
    return [rule('┌', '┬', '┐'), ...body, rule('└', '┴', '┘')]
  }

  #drawn(row: readonly Line[][], widths: readonly number[]): string[] {
    const height = row.reduce((most, lines) => Math.max(most, lines.length), 1)
    return Array.from({ length: height }, (_, at) => {
      const cells = widths.map((width, column) => {
        const { text, width: own } = row[column]?.[at] ?? NOTHING
        const space = ' '.repeat(width - own)
        return this.options.right?.includes(column) ? ` ${space}${text} ` : ` ${text}${space} `
      })
      return `│${cells.join('│')}│`
    })
  }
}

const NOTHING: Line = { text: '', width: 0 }

function linesOf(cell: Cell): Line[] {
  const texts = typeof cell === 'object' ? cell : [shortened(String(cell))]
  return texts.map((each) => {
    const text = escapedLine(each)
    return { text, width: widthOf(text) }
  })
}
