import pc from 'picocolors'
import { ShardqError } from '../errors.js'

// Not picocolors' own guess, which colours a pipe on some CI systems and on Windows.
const colors = pc.createColors(pc.isColorSupported && process.stdout.isTTY === true)

/** Where a command writes: for people as it goes along, or one JSON document at its end. */
export class Output {
  readonly colors = colors

  constructor(readonly json: boolean) {}

  /** One line for people; nothing with `--json`. */
  line(text = ''): void {
    if (!this.json) process.stdout.write(`${text}\n`)
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
    if (this.json) process.stdout.write(`${JSON.stringify(value)}\n`)
  }

  /** The result for programs; nothing without `--json`. To be called once. */
  document(value: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`)
  }
}

/** Tells of a failure: to people on stderr, with `--json` as the one document `{ error: { name, message, ... } }`. */
export function reportError(error: unknown, json: boolean): void {
  const known = error instanceof Error ? error : new Error(String(error))
  if (json) {
    const fields = known instanceof ShardqError ? Object.fromEntries(Object.entries(known)) : {}
    const { cause: _, ...rest } = fields as { cause?: unknown }
    const document = { error: { name: known.name, message: known.message, ...rest } }
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`)
  } else {
    // Of an error that nobody foresaw, the stack is what helps.
    const text = known instanceof ShardqError ? known.message : (known.stack ?? known.message)
    process.stderr.write(`${pc.createColors(process.stderr.isTTY === true).red('✗')} ${text}\n`)
  }
}
