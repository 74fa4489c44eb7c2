import { expect, it } from 'vitest'
import { clashesOf, type Holder } from '../../../src/cluster/backup/libraries.js'

const holder = (
  name: string,
  ...libraries: [name: string, code: string, ...functions: string[]][]
): Holder => ({
  name,
  libraries: new Map(
    libraries.map(([library, code, ...functions]) => [library, { code: Buffer.from(code), functions }]),
  ),
})

it('libraries that are the same, or beside each other, can all be on one server', () => {
  expect(clashesOf([])).toEqual([])
  expect(
    clashesOf([
      holder('a', ['lib', 'old', 'f', 'g'], ['one', 'x', 'h']),
      holder('b', ['lib', 'old', 'f', 'g'], ['two', 'y', 'i'], ['LIB', 'z', 'j']),
      holder('c'),
    ]),
  ).toEqual([])
})

it('the same name with other code cannot, and is told once', () => {
  expect(
    clashesOf([
      holder('a', ['lib', 'old', 'f']),
      holder('b', ['lib', 'new', 'f', 'g']),
      holder('c', ['lib', 'newer', 'f']),
    ]),
  ).toEqual(['the library of functions lib has other code in a than in b'])
})

it('nor can two libraries with one function, whose case does not matter', () => {
  expect(clashesOf([holder('a', ['lib', 'x', 'Hello']), holder('b', ['other', 'y', 'hello', 'f'])])).toEqual([
    'the function hello is in the library lib of a and in the library other of b',
  ])
})
