import { readFile } from 'node:fs/promises'
import { ROOT } from './markdown.js'

/** A test that a page names: `file` "title", "title". */
export interface NamedTest {
  readonly file: string
  readonly title: string
}

export function namedTests(text: string): NamedTest[] {
  return [...text.matchAll(/`(test\/[\w/.-]+)`((?:,? "[^"]+")+)/g)].flatMap(([, file = '', titles = '']) =>
    [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => ({ file, title })),
  )
}

/** Whether the file has a test of this title, or of one that contains it. */
export async function isThere({ file, title }: NamedTest): Promise<boolean> {
  const source = await readFile(new URL(file, ROOT), 'utf8')
  // The title is the first argument, on the line of the call or on one of its own.
  return source
    .split('\n')
    .some(
      (line) =>
        line.includes(title) && (/\b(it|test)\b/.test(line) || /^\s*(\]\))?\(?['"`]/.test(line.trim())),
    )
}
