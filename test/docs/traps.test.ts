import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { page, ROOT } from './markdown.js'

const rows = (await page('docs/traps.md')).split('\n').filter((line) => /^\| \d+ \|/.test(line))

it('has a row for each trap', () => {
  expect(rows.map((row) => Number(/\d+/.exec(row)?.[0]))).toEqual(Array.from({ length: 18 }, (_, i) => i + 1))
})

it.each(rows)('%s', async (row) => {
  // `file` "title", "title", `file` "title"
  const shown = [...row.matchAll(/`(test\/[\w/.-]+)`((?:,? "[^"]+")+)/g)]
  expect(shown.length).toBeGreaterThan(0)
  for (const [, file = '', titles = ''] of shown) {
    const source = await readFile(new URL(file, ROOT), 'utf8')
    for (const [, title = ''] of titles.matchAll(/"([^"]+)"/g)) {
      const test = source.split('\n').some((line) => /\b(it|test)\b/.test(line) && line.includes(title))
      expect(test, `${title} in ${file}`).toBe(true)
    }
  }
})
