import { describe, expect, it } from 'vitest'
import { visible, visibleJson, visibleText } from '../../src/visible.js'

describe('visible', () => {
  it('shows what a terminal would carry out', () => {
    expect(visible('a\u001b[2Jb\u0007\r\n\u009b1A')).toBe('a\\x1b[2Jb\\x07\\x0d\\x0a\\x9b1A')
    expect(visible('\u202eabc\u2069\u2028')).toBe('\\u202eabc\\u2069\\u2028')
    expect(visible('größe ✓ 日本 👍')).toBe('größe ✓ 日本 👍')
  })
})

describe('visibleText', () => {
  it('keeps line ends, and colours where there are any', () => {
    expect(visibleText('\u001b[32mok\u001b[39m\nnext', true)).toBe('\u001b[32mok\u001b[39m\nnext')
    expect(visibleText('\u001b[32mok\u001b[39m\nnext', false)).toBe('\\x1b[32mok\\x1b[39m\nnext')
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
  ])('keeps nothing else: %j', (text) => {
    for (const withColours of [true, false])
      expect(visibleText(`a${text}b`, withColours)).not.toMatch(/[^ -~]/)
  })
})

it('JSON says the same, and has nothing in it that a terminal would carry out', () => {
  const value = { a: '\u009b1A\u202e\u2028\u001b', b: ['größe\n'] }
  const json = visibleJson(JSON.stringify(value, null, 2))
  expect(JSON.parse(json)).toEqual(value)
  expect(json.replaceAll('\n', '')).not.toMatch(/[\u0080-\u009f\u2028\u202e]/)
})
