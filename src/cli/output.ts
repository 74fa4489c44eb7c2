import pc from 'picocolors'
import { markedColours, shownLine } from '../colours.js'
import { ShardqError } from '../errors.js'
import { shellWord } from '../shell.js'
import { visible, visibleJson } from '../visible.js'
import { cutLine } from './cut.js'

// Not picocolors' own guess, which colours a pipe on some CI systems and on Windows.
const hasColours = pc.isColorSupported && process.stdout.isTTY === true
const colors = markedColours(hasColours)

/** Where a command writes: for people as it goes along, or one JSON document at its end. */
export class Output {
  readonly colors = colors

  constructor(readonly json: boolean) {}

  /**
   * One line for people; nothing with `--json`. Whatever servers and users have named is in it, so nothing of it is carried out by the
   * terminal but our colours, and what has a line end in it stays one line.
   */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${this.shown(text)}\n`)
  }

  /** A table, or a report: each of them a line. */
  lines(texts: readonly string[]): void {
    for (const text of texts) this.line(text)
  }

  /** The same, cut to the width of the terminal. On a pipe, too: a task may have a megabyte of data. */
  cutLines(texts: readonly string[]): void {
    for (const text of texts)
      if (!this.json) process.stdout.write(`${cutLine(this.shown(text), process.stdout.columns ?? 160)}\n`)
  }

  /** One line as it may be written to a terminal. */
  shown(text: string): string {
    return shownLine(text, hasColours)
  }

  /** A heading between rules, as in the guide. */
  title(text: string): void {
    const rule = colors.dim('='.repeat(80))
    this.line(rule)
    this.line(colors.bold(text))
    this.line(rule)
  }

  /** One of many results for programs, on a line of its own; nothing without `--json`. */
  record(value: unknown): void {
    if (this.json) process.stdout.write(`${visibleJson(JSON.stringify(value))}\n`)
  }

  /** The result for programs; nothing without `--json`. To be called once. */
  document(value: unknown): void {
    if (this.json) process.stdout.write(`${visibleJson(JSON.stringify(value, null, 2))}\n`)
  }
}

/** Tells of a failure: to people on stderr, with `--json` as the one document `{ error: { name, message, ... } }`. */
export function reportError(error: unknown, json: boolean): void {
  const known = error instanceof Error ? error : new Error(String(error))
  if (json) {
    const fields = known instanceof ShardqError ? Object.fromEntries(Object.entries(known)) : {}
    const { cause: _, ...rest } = fields as { cause?: unknown }
    const document = { error: { name: known.name, message: known.message, ...rest } }
    process.stdout.write(`${visibleJson(JSON.stringify(document, null, 2))}\n`)
  } else {
    const mark = pc.createColors(process.stderr.isTTY === true).red('✗')
    process.stderr.write(`${mark} ${linesOf(known).map(visible).join('\n')}\n`)
  }
}

/** What commander says of wrong usage, with what was typed in it; its hint is a line of its own. */
export function shownUsage(text: string): string {
  const [, problem = '', hint = ''] = /^(.*?)(\n\(Did you mean [^\n]*\))?\n?$/s.exec(text) ?? []
  return `${[problem, ...hint.split('\n').slice(1)].map(visible).join('\n')}\n`
}

function linesOf(error: Error): readonly string[] {
  if (error instanceof ShardqError) return error.lines
  const reply = replyOf(error)
  if (reply !== undefined) return [reply]
  // Of an error that nobody foresaw, the stack is what helps.
  const stack = (error.stack ?? '').split('\n').filter((line) => line.startsWith('    at '))
  return [`${error.name}: ${error.message}`, ...stack]
}

/** What a server says of a command that it does not carry out: who says it is of more help than where we were. */
function replyOf(error: Error & { readonly node?: string; readonly refused?: string }): string | undefined {
  if (error.name !== 'ReplyError' || error.node === undefined) return undefined
  return `${error.node} does not carry out ${error.refused}: ${error.message}; what it means: shardq doctor ${shellWord(error.message.split(' ')[0] ?? '')}`
}
