import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { type Entry, type Fact, ledgerNow } from './entry.js'

/** Where entries are written. */
export interface Book {
  write(fact: Fact): void
}

export class MemoryBook implements Book {
  readonly entries: Entry[] = []

  constructor(private readonly by: string) {}

  write(fact: Fact): void {
    this.entries.push({ atMs: ledgerNow(), by: this.by, ...fact } as Entry)
  }
}

/** One JSON line per entry, handed to the system before `write` returns: what a SIGKILL must not take along. */
export class FileBook implements Book {
  readonly #file: number

  constructor(
    path: string,
    private readonly by: string,
  ) {
    this.#file = openSync(path, 'a')
  }

  write(fact: Fact): void {
    writeSync(this.#file, `${JSON.stringify({ atMs: ledgerNow(), by: this.by, ...fact })}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }
}

/** The entries of a file; a last line that a SIGKILL cut off is left out. */
export function readBook(path: string): Entry[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  lines.pop()
  return lines.map((line) => JSON.parse(line) as Entry)
}
