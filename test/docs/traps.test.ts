import { expect, it } from 'vitest'
import { page } from './markdown.js'
import { isThere, namedTests } from './named-tests.js'

const rows = (await page('docs/traps.md')).split('\n').filter((line) => /^\| \d+ \|/.test(line))

it('has a row for each trap', () => {
  expect(rows.map((row) => Number(/\d+/.exec(row)?.[0]))).toEqual(Array.from({ length: 18 }, (_, i) => i + 1))
})

it.each(rows)('%s', async (row) => {
  const shown = namedTests(row)
  expect(shown.length).toBeGreaterThan(0)
  for (const test of shown) expect(await isThere(test), `${test.title} in ${test.file}`).toBe(true)
})
