import { randomInt } from 'node:crypto'
import pc from 'picocolors'
import type { Colors } from 'picocolors/types.js'
import stringWidth from 'string-width'
import { visible } from './visible.js'

/**
 * Our colours are told from those in a name or an error by a number that nobody else can know: `ESC [ 31 ; number m`. It becomes
 * `ESC [ 31 m` when the line is written. A key named `ESC [ 8 m` would else hide the rest of its line.
 */
const MARK = randomInt(1_000_000, 2 ** 47)
const OURS = new RegExp(`\\u001b\\[(\\d{1,3});${MARK}m`)

/** @param enabled false: they leave texts as they are */
export function markedColours(enabled: boolean): Colors {
  const plain = pc.createColors(enabled)
  if (!enabled) return plain
  const marked = Object.entries(plain).map(([name, format]) => [
    name,
    typeof format === 'function' ? markedFormat(format) : format,
  ])
  return Object.fromEntries(marked) as Colors
}

function markedFormat(format: (text: string) => string): (text: string) => string {
  const [open = '', close = ''] = format('|')
    .split('|')
    .map((codes) => codes.replaceAll('m', `;${MARK}m`))
  // What is coloured within it ends with the same code, and this one begins again there.
  return (text) => `${open}${String(text).replaceAll(close, close + open)}${close}`
}

/** One line for the terminal, or for a file: our colours, and all else of the kind escaped, line ends too. */
export function shownLine(text: string, coloured: boolean): string {
  return mapParts(text, (code) => (coloured ? `\u001b[${code}m` : ''))
}

/** As `shownLine`, and can still be put into a table or another line. */
export const escapedLine = (text: string): string => mapParts(text, (code) => `\u001b[${code};${MARK}m`)

/** Without our colours. */
const plainLine = (text: string): string => mapParts(text, () => '')

/** No name of ours is so long; one of somebody else's would make every row of a table as wide. All of it is in the JSON. */
const MOST_CHARS = 500

/** A text that is too long to be shown, cut between characters and without colours, one of which may be cut off. */
export function shortened(text: string): string {
  if (text.length <= MOST_CHARS) return text
  const chars = [...plainLine(text)]
  return chars.length > MOST_CHARS ? `${chars.slice(0, MOST_CHARS).join('')}…` : text
}

/** Columns that it takes on a terminal: our colours none, letters of some languages two. */
export const widthOf = (text: string): number => stringWidth(plainLine(text))

const mapParts = (text: string, colour: (code: string) => string) =>
  text
    .split(OURS)
    .map((part, i) => (i % 2 === 0 ? visible(part) : colour(part)))
    .join('')
