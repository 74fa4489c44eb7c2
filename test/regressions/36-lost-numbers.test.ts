import { expect, inject, it } from 'vitest'
import { InvalidDataError } from '../../src/index.js'
import { toJson } from '../../src/queue/json.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))
const write = (value: unknown) => toJson('the data', value, 1e6)

it.each([
  [Number.NaN, 'data is NaN; JSON has no such number'],
  [{ a: [1, 2, null, { b: Number.NaN }] }, 'data.a[3].b is NaN; JSON has no such number'],
  [{ a: { 'b c': -Infinity } }, 'data.a["b c"] is -Infinity'],
  [[Number('1e400')], 'data[0] is Infinity'],
  [{ n: Object(Number.NaN) }, 'data.n is NaN'],
  [{ at: new Date(Number.NaN) }, 'data.at is an invalid Date'],
  [{ toJSON: () => ({ n: Number.NaN }) }, 'data.n is NaN'],
  [[1, undefined], 'data[1] is undefined, which JSON writes as null'],
  [new Array(2), 'data[0] is undefined'],
  [{ list: [() => 1] }, 'data.list[0] is a function'],
  [[Symbol('s')], 'data[0] is a symbol'],
  [{ m: new Map([[1, 2]]) }, 'data.m is a Map, which JSON writes as {}'],
  [new Set([1]), 'data is a Set'],
  [{ p: Promise.resolve(1) }, 'data.p is a Promise'],
  [{ e: new Error('x') }, 'data.e is an Error'],
  [/x/, 'data is a RegExp'],
  // None of these shows in the text: it has neither a null nor a {}.
  [
    Object.assign(new Error('x'), { code: 'E1' }),
    'data is an Error, of which JSON writes no more than code;',
  ],
  [{ error: Object.assign(new Error('x'), { code: 'E1' }) }, 'data.error is an Error'],
  [{ error: new DOMException('x', 'AbortError') }, 'data.error is an Error'],
  [
    { m: Object.assign(new Map(), { note: 'x' }) },
    'data.m is a Map, of which JSON writes no more than note;',
  ],
  [{ a: { b: Object.assign(new Error('x'), { code: 'E1' }) }, none: null }, 'data.a.b is an Error'],
  [{ q: new URLSearchParams('a=1') }, 'data.q is a URLSearchParams, which JSON writes as {}'],
  [{ h: new Headers({ a: '1' }) }, 'data.h is an iterable without properties'],
  [[[1].values()], 'data[0] is an iterable'],
  [new Blob(['x']), 'data is a Blob'],
])('%j is refused, with its path', (value, problem) => {
  expect(() => write(value)).toThrow(InvalidDataError)
  expect(() => write(value)).toThrow(problem)
})

it.each([
  [null, 'null'],
  [{ a: null, b: [null], c: undefined, d: () => 1 }, '{"a":null,"b":[null]}'],
  [{ at: new Date(0), none: null }, '{"at":"1970-01-01T00:00:00.000Z","none":null}'],
  [{ own: { toJSON: () => null } }, '{"own":null}'],
  [{ empty: {}, none: Object.create(null), list: [] }, '{"empty":{},"none":{},"list":[]}'],
  ['null and {}', '"null and {}"'],
  [new (class Empty {})(), '{}'],
  [{ bytes: Buffer.from('a'), none: null }, '{"bytes":{"type":"Buffer","data":[97]},"none":null}'],
  [new Uint8Array([1]), '{"0":1}'],
  [
    {
      bytes: new Uint8Array(0),
      tree: new (class Tree {
        nodes = [null];
        *[Symbol.iterator]() {}
      })(),
    },
    '{"bytes":{},"tree":{"nodes":[null]}}',
  ],
  [Object.assign([1, null], { index: 3 }), '[1,null]'],
  [Object.assign(new Error('x'), { code: 'E1', toJSON: () => 'told' }), '"told"'],
  // The limit of what is looked for where the text shows nothing.
  [{ a: { b: Object.assign(new Error('x'), { code: 'E1' }) } }, '{"a":{"b":{"code":"E1"}}}'],
  [new Map([['toJSON', 1]]) as unknown as null, undefined],
  [Object.assign(new Map(), { toJSON: () => 'told', none: null }), '"told"'],
])('%j is what JSON makes of it', (value, text) => {
  if (text === undefined) expect(() => write(value)).toThrow('a Map')
  else expect(write(value)).toBe(text)
})

it('a shared object is no loss, and a path is bounded, as is what a toJSON throws', () => {
  const shared = { none: null }
  expect(write([shared, shared])).toBe('[{"none":null},{"none":null}]')
  let deep: unknown = Number.NaN
  for (let i = 0; i < 2_000; i++) deep = [deep]
  expect(() => write(deep)).toThrow(/^the data cannot be stored: data\[0\].{0,220} is NaN/)
  const throwing = {
    toJSON() {
      throw Object.create(null)
    },
  }
  expect(() => write(throwing)).toThrow(InvalidDataError)
})

it('data, checkpoints and metadata are all checked', async () => {
  const queue = await harness.queue()
  const lost = { n: Number.NaN }
  await expect(queue.enqueue('note', lost)).rejects.toThrow('data.n is NaN')
  await expect(queue.enqueueMany([{ type: 'note', data: lost }])).rejects.toThrow('data.n is NaN')
  await expect(queue.enqueue('note', 1, { metadata: lost })).rejects.toThrow('metadata.n is NaN')
  await queue.enqueue('note', 1)
  const [delivery] = await queue.dequeue()
  await expect(delivery?.checkpoint('half', lost)).rejects.toThrow('data.n is NaN')
  await delivery?.complete(lost)
})
