import { describe, expect, it, test } from 'vitest'
import { wrapped } from '../../src/cli/check-report.js'
import { markedColours, shownLine } from '../../src/colours.js'
import { PlainTable } from '../../src/plain-table.js'
import { lastArgument, shellWord } from '../../src/shell.js'
import { visible, visibleJson } from '../../src/visible.js'

describe('visible', () => {
  it('shows what a terminal would carry out', () => {
    expect(visible('a\u001b[2Jb\u0007\r\n\u009b1A')).toBe('a\\x1b[2Jb\\x07\\x0d\\x0a\\x9b1A')
    expect(visible('\u202eabc\u2069\u2028')).toBe('\\u202eabc\\u2069\\u2028')
  })

  it('shows what nobody would see', () => {
    expect(visible('a\u200bb\ufeffc\u00add\u3164e\u{e0041}')).toBe(
      'a\\u200bb\\ufeffc\\xadd\\u3164e\\u{e0041}',
    )
    expect(visible('a\ufe0f')).toBe('a\\ufe0f')
    expect(visible('\ud800')).toBe('\\ud800')
  })

  it('lets no pile of marks cover other lines', () => {
    expect(visible(`e${'\u0301'.repeat(6)}`)).toBe(`e${'\u0301'.repeat(4)}\\u0301\\u0301`)
  })

  it('leaves languages and emoji as they are', () => {
    for (const text of ['größe ✓ 日本 👍', '⚠️ \u0e19\u0e49\u0e33', 'e\u0301', 'हिन्दी'])
      expect(visible(text)).toBe(text)
  })
})

describe('a line of ours', () => {
  const colours = markedColours(true)

  it('has our colours where there are any, one within the other too', () => {
    const text = colours.red(`a ${colours.green('b')} c`)
    expect(shownLine(text, true)).toBe('\u001b[31ma \u001b[32mb\u001b[39m\u001b[31m c\u001b[39m')
    expect(shownLine(text, false)).toBe('a b c')
  })

  it('has no colour that somebody else has chosen', () => {
    const text = colours.red('\u001b[8mhidden\u001b[32m')
    expect(shownLine(text, true)).toBe('\u001b[31m\\x1b[8mhidden\\x1b[32m\u001b[39m')
  })

  it.each([
    '\u001b]0;title\u001b\\',
    '\u001b[2J',
    '\u001b[1;1H',
    '\u001b[1A',
    '\u001b[?25l',
    '\u001bc',
    '\u009b31m',
    '\t',
    '\r',
    '\n',
  ])('keeps nothing else: %j', (text) => {
    for (const coloured of [true, false]) expect(shownLine(`a${text}b`, coloured)).not.toMatch(/[^ -~]/)
  })
})

test('a name with a line end has one line in a table', () => {
  const table = new PlainTable(['na\nme', 'n'], { right: [1] })
  table.push(['a\nb\u001b[2J', 1], [['two', 'lines'], 2])
  expect(table.lines()).toHaveLength(7)
  expect(table.lines().join('')).toContain('a\\x0ab\\x1b[2J')
})

// cli-table3 took minutes for a cell of this size.
test('a table of long texts is drawn in no time', () => {
  const table = new PlainTable(['what'])
  const text = 'é'.repeat(400)
  table.push([Array.from({ length: 200 }, () => text)])
  expect(table.lines()).toHaveLength(204)
  expect(new Set(table.lines().map((line) => line.length))).toEqual(new Set([404]))
})

test('what is broken into lines has none that looks like a command of ours', () => {
  const word = 'x'.repeat(91)
  for (const text of [
    '$ touch x',
    `${word} $ touch x`,
    `${word} \u00a0$ touch x`,
    `${word} \u2800$\u00a0touch x`,
  ])
    for (const line of wrapped(text)) expect(line).not.toMatch(/^[\s\u2800]*\$/u)
  expect(wrapped('costs $5 or $ 6')).toEqual(['costs $5 or $ 6'])
})

it('JSON says the same, and has nothing in it that a terminal would carry out', () => {
  const value = { a: '\u009b1A\u202e\u2028\u001b\u{e0041}\u200b', b: ['größe\n'] }
  const json = visibleJson(JSON.stringify(value, null, 2))
  expect(JSON.parse(json)).toEqual(value)
  expect(json.replaceAll('\n', '')).not.toMatch(/[\u0080-\u009f\u200b\u2028\u202e\u{e0041}]/u)
})

test('a word for the shell', () => {
  expect(shellWord('10.0.0.5:7000')).toBe('10.0.0.5:7000')
  expect(shellWord("it's $(x)")).toBe("'it'\\''s $(x)'")
  expect(shellWord('~')).toBe("'~'")
  expect(shellWord('')).toBe("''")
  expect(shellWord("a\n\u200b'\\")).toBe("$'a\\x0a\\xe2\\x80\\x8b\\'\\\\'")
  expect(lastArgument('--force')).toBe('-- --force')
  expect(lastArgument('orders')).toBe('orders')
})
