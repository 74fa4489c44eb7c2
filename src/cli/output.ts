import pc from 'picocolors'
import { ShardqError } from '../errors.js'
import { visibleJson, visibleText } from '../visible.js'

// Not picocolors' own guess, which colours a pipe on some CI systems and on Windows.
const hasColours = pc.isColorSupported && process.stdout.isTTY === true
const colors = pc.createColors(hasColours)

/** Where a command writes: for people as it goes along, or one JSON document at its end. */
export class Output {
  readonly colors = colors

  constructor(readonly json: boolean) {}

  /**
   * For people; nothing with `--json`. Whatever servers and users have named is in it, so nothing of it is carried out by the terminal
   * but our colours.
   */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${this.shown(text)}\n`)
  }

  /** As it may be written to a terminal. */
  shown(text: string): string {
    return visibleText(text, hasColours)
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
    // Of an error that nobody foresaw, the stack is what helps.
    const text =
      known instanceof ShardqError ? known.message : (replyOf(known) ?? known.stack ?? known.message)
    process.stderr.write(
      `${pc.createColors(process.stderr.isTTY === true).red('✗')} ${visibleText(text, false)}\n`,
    )
  }
}

/** What a server says of a command that it does not carry out: who says it is of more help than where we were. */
function replyOf(error: Error & { readonly node?: string; readonly refused?: string }): string | undefined {
  if (error.name !== 'ReplyError' || error.node === undefined) return undefined
  return `${error.node} does not carry out ${error.refused}: ${error.message}; what it means: shardq doctor '${error.message.split(' ')[0]}'`
}
