import Table from 'cli-table3'
import { escapedLine } from './colours.js'

/** A list has a line for each of its texts; a line end within a text is part of a name. */
export type Cell = string | number | readonly string[]

export interface TableOptions {
  /** Columns of figures, counted from 0. Default: none */
  readonly right?: readonly number[]
  /** Without rules between rows. Default: true */
  readonly compact?: boolean
}

/** A table of names that servers and users have chosen. */
export class PlainTable {
  readonly #table: Table.Table

  constructor(head: readonly string[], { right = [], compact = true }: TableOptions = {}) {
    this.#table = new Table({
      head: head.map(escapedLine),
      colAligns: Array.from(
        { length: Math.max(head.length, ...right.map((index) => index + 1)) },
        (_, index) => (right.includes(index) ? 'right' : 'left'),
      ),
      // cli-table3 colours headings and borders by itself, into files too, unless told not to.
      style: { head: [], border: [], compact },
    })
  }

  push(...rows: readonly (readonly Cell[])[]): void {
    for (const row of rows) this.#table.push(row.map(textOf))
  }

  lines(): string[] {
    return this.#table.toString().split('\n')
  }
}

/** No name of ours is so long; one of somebody else's would make every row as wide. All of it is in the JSON. */
const MOST_CHARS = 500

const textOf = (cell: Cell) =>
  typeof cell === 'object' ? cell.map(escapedLine).join('\n') : escapedLine(cut(String(cell)))

const cut = (text: string) => (text.length > MOST_CHARS ? `${text.slice(0, MOST_CHARS)}…` : text)
