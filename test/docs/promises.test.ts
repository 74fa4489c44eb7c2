import { expect, it } from 'vitest'
import { page } from './markdown.js'
import { isThere, namedTests } from './named-tests.js'

const readme = await page('README.md')
const promises = await page('docs/promises.md')
const protocol = await page('docs/protocol.md')

const sectionOf = (text: string, heading: string) =>
  text.split(/^## /m).find((section) => section.startsWith(heading)) ?? ''

/** Items of a list, each with the lines that belong to it. */
const itemsOf = (section: string) => section.split(/^- /m).slice(1)

const rowsOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| ') && !/^\| ?(-|it says|event|reply|\| it says)/.test(line))

const labels = (text: string) =>
  [...text.matchAll(/\[([PN]\d+)\]\(docs\/promises\.md/g)].map(([, label]) => label)

it.each([
  ['What is promised', 'P'],
  ['What is not', 'N'],
])('every item of "%s" in the README leads to the tests that show it', (heading, letter) => {
  const items = itemsOf(sectionOf(readme, heading))
  expect(items.length).toBeGreaterThan(5)
  expect(items.map(labels)).toEqual(items.map((_, i) => [`${letter}${i + 1}`]))
})

it('each of these labels has a place in the page of promises', () => {
  const own = [...promises.matchAll(/^(?:## (P\d+) |\| (N\d+) )/gm)].map(([, p, n]) => p ?? n)
  expect(own).toEqual(labels(readme))
})

it.each(rowsOf(promises).filter((row) => !row.startsWith('| |')))('%s', async (row) => {
  const tests = namedTests(row)
  expect(tests.length).toBeGreaterThan(0)
  for (const test of tests) expect(await isThere(test), `${test.title} in ${test.file}`).toBe(true)
})

const withCode = protocol.split(/^## /m).filter((section) => /^Code: /m.test(section))

it.each(withCode.map((section) => [section.split('\n')[0] ?? '', section]))(
  'the protocol of %s names the tests that would fail if it were untrue',
  async (_, section) => {
    const told = /^Tests: (.+?)\n\n/ms.exec(section)?.[1]?.replaceAll('\n', ' ') ?? ''
    const tests = namedTests(told)
    expect(tests.length).toBeGreaterThan(1)
    for (const test of tests) expect(await isThere(test), `${test.title} in ${test.file}`).toBe(true)
  },
)

it.each(rowsOf(sectionOf(protocol, 'What happens when')))('%s', async (row) => {
  const tests = namedTests(row)
  expect(tests.length).toBeGreaterThan(0)
  for (const test of tests) expect(await isThere(test), `${test.title} in ${test.file}`).toBe(true)
})
