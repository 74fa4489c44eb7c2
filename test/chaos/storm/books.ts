import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { type Entry, FileBook } from '../../../src/ledger/index.js'

/** The ledgers of all processes in one folder, read as they grow. */
export class Books {
  readonly #read = new Map<string, number>()

  constructor(readonly folder: string) {}

  path(name: string): string {
    const path = join(this.folder, `${name}.jsonl`)
    if (!this.#read.has(path)) this.#read.set(path, 0)
    return path
  }

  open(name: string): FileBook {
    return new FileBook(this.path(name), name)
  }

  /** Whole lines that were added since the last call. */
  news(): Entry[] {
    const before = [...this.#read]
    try {
      return before.flatMap(([path, from]) => this.#added(path, from))
    } catch (error) {
      // What was read of the others is not given to anybody, and so must be read again.
      for (const [path, from] of before) this.#read.set(path, from)
      throw error
    }
  }

  #added(path: string, from: number): Entry[] {
    if (!existsSync(path)) return []
    const file = openSync(path, 'r')
    try {
      const bytes = Buffer.alloc(fstatSync(file).size - from)
      readSync(file, bytes, 0, bytes.length, from)
      const end = bytes.lastIndexOf(10) + 1
      this.#read.set(path, from + end)
      const lines = bytes.subarray(0, end).toString('utf8').split('\n').slice(0, -1)
      // A line that a SIGKILL has cut off is continued by whoever writes next under that name.
      return lines.flatMap((line) => {
        const start = line.lastIndexOf('{"atMs"')
        return start < 0 ? [] : [JSON.parse(line.slice(start)) as Entry]
      })
    } finally {
      closeSync(file)
    }
  }
}
