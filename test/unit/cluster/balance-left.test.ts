import { expect, it } from 'vitest'
import { leftOf } from '../../../src/cluster/balance/left.js'

const node = (port: number) => ({ id: `id-${port}`, host: '127.0.0.1', port, name: `127.0.0.1:${port}` })
const [from, to] = [node(7000), node(7001)]
const master = (party: typeof from, slots: number[]) => ({ node: party, slots, replicas: [], following: 0 })
const left = { what: 'slot 7 of 127.0.0.1:7000 to 127.0.0.1:7001', why: 'late', remedy: 'again' }
const refused = new Map([[7, { ...left, to }]])

it('a slot that was refused is left while it is where it was', () => {
  const masters = [master(from, [7]), master(to, [])]
  expect(leftOf(refused, { masters, mends: [] }, false)).toEqual([left])
})

it('one whose claim was refused for having been heard too late is not left when it has arrived', () => {
  const masters = [master(from, []), master(to, [7])]
  expect(leftOf(refused, { masters, mends: [] }, false)).toEqual([])
})

it('what is half way is told of one that was stopped', () => {
  const mend = { kind: 'finish', slot: 9, from, to, keys: 2, keysThere: 1 } as const
  const survey = { masters: [], mends: [mend] }
  expect(leftOf(new Map(), survey, true)).toMatchObject([
    { what: expect.stringContaining('slot 9 is half way') },
  ])
  expect(leftOf(new Map(), survey, false)).toEqual([])
})
