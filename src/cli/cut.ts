const ESC = '\u001b'

/** At most so many columns of a line; colours take none, and end where the line is cut. */
export function cutLine(line: string, columns: number): string {
  let shown = 0
  for (let at = 0; at < line.length; ) {
    if (line[at] === ESC) {
      at = line.indexOf('m', at) + 1 || line.length
      continue
    }
    const point = String.fromCodePoint(line.codePointAt(at) ?? 0)
    if (++shown > columns) return line.slice(0, at) + (line.includes(ESC) ? `${ESC}[0m` : '')
    at += point.length
  }
  return line
}

/** Cut to the size of a terminal, so that it can be drawn over itself: a line that wraps, or the first that scrolls away, cannot. */
export function fitToScreen(texts: readonly string[], columns: number, rows: number): string {
  const lines = texts.map((line) => cutLine(line, columns))
  if (lines.length < rows) return lines.join('\n')
  const left = lines.length - rows + 2
  return [...lines.slice(0, Math.max(0, rows - 2)), `... ${left} more lines; make the window taller`].join(
    '\n',
  )
}
