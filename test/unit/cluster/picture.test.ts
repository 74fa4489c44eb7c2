import pc from 'picocolors'
import { describe, expect, test } from 'vitest'
import { cutLine, fitToScreen } from '../../../src/cli/cut.js'
import { bytes } from '../../../src/cli/figures.js'
import { renderStatus } from '../../../src/cli/status-report.js'
import { pictureOf, shardsOf } from '../../../src/cluster/index.js'
import { observationOf, WHOLE, withNode } from '../../helpers/observations.js'

const plain = pc.createColors(false)
const linesOf = (lines: readonly string[]) => lines.map((line) => line.replaceAll(/\s+/g, ' '))

describe('the picture of a whole cluster', () => {
  const picture = pictureOf(observationOf(WHOLE))

  test('has the contract’s fields, and what each node says of itself', () => {
    expect(picture).toMatchObject({
      state: 'ok',
      slotsAssigned: 16_384,
      slotsOk: 16_384,
      knownNodes: 6,
      size: 3,
    })
    expect(picture).toMatchObject({ answered: 6, differences: [], openSlots: [], strangers: [] })
    expect(picture.nodes[0]).toMatchObject({
      port: 7000,
      up: true,
      memoryUsedBytes: 2_097_152,
      memoryLimitBytes: 104_857_600,
      clients: 5,
      opsPerSecond: 120,
      lagBytes: null,
      replication: null,
    })
  })

  test('lag is what the master has not heard acknowledged; without a link, how long it has been lost', () => {
    const [, , , ra, rb, rc] = picture.nodes
    expect(ra).toMatchObject({ lagBytes: 40, lagSeconds: 1, replication: 'up' })
    expect(rb).toMatchObject({ lagBytes: null, lagSeconds: 34, replication: 'down' })
    expect(rc).toMatchObject({ lagBytes: null, lagSeconds: null })
  })

  test('shows replicas beneath their masters, in the order of their slots', () => {
    const rows = linesOf(renderStatus(picture, plain)).filter((line) => line.includes('127.0.0.1:'))
    expect(rows.map((row) => /(└ )?127\.0\.0\.1:\d+/.exec(row)?.[0])).toEqual([
      '127.0.0.1:7000',
      '└ 127.0.0.1:7003',
      '127.0.0.1:7001',
      '└ 127.0.0.1:7004',
      '127.0.0.1:7002',
      '└ 127.0.0.1:7005',
    ])
    expect(rows[0]).toBe(
      '│ 127.0.0.1:7000 │ master │ 5461: 0-5460 │ up │ │ │ 2.0 MB of 100 MB, 2 % │ 120 │ 5 │',
    )
    expect(rows[3]).toContain('│ master link down │ │ 34 s │')
  })
})

test('a dead node is shown as down, with the reason, and its replica’s lag is not made up', () => {
  const picture = pictureOf(observationOf(withNode(WHOLE, 'a', { down: true, flags: 'fail?' })))
  expect(picture.answered).toBe(5)
  expect(picture.nodes[0]).toMatchObject({
    up: false,
    error: 'connect ECONNREFUSED',
    flags: ['fail?'],
    clients: null,
  })
  expect(picture.nodes[3]).toMatchObject({ lagBytes: null, lagSeconds: null })
  const text = renderStatus(picture, plain).join('\n')
  expect(text).toContain('nodes 6, 5 answer')
  expect(text).toContain('127.0.0.1:7000 does not answer: connect ECONNREFUSED')
})

test('the view of the largest number counts, and where others differ is said', () => {
  const split = withNode(withNode(WHOLE, 'a', { follows: 'ra', slots: '' }), 'ra', {
    follows: '-',
    slots: '0-5460',
  })
  const picture = pictureOf(observationOf(WHOLE, { ra: split }))
  expect(picture.nodes[0]?.role).toBe('master')
  expect(picture.differences).toEqual([
    '127.0.0.1:7003 sees 127.0.0.1:7000 as replica of 127.0.0.1:7003; 127.0.0.1:7000 and 4 more: master of 0-5460',
    '127.0.0.1:7003 sees 127.0.0.1:7003 as master of 0-5460; 127.0.0.1:7000 and 4 more: replica of 127.0.0.1:7000',
  ])
  expect(renderStatus(picture, plain).join('\n')).toContain('views differ')
  // The one that was named is believed, whoever else sees it otherwise.
  expect(pictureOf(observationOf(WHOLE, { ra: split }), 'ra').nodes[0]?.role).toBe('replica')
})

test('open slots are said with the node that has them open, and what to type', () => {
  const nodes = withNode(withNode(WHOLE, 'a', { slots: '0-5460 [93->-b]' }), 'b', {
    slots: '5461-10922 [93-<-a]',
  })
  const picture = pictureOf(observationOf(nodes))
  expect(picture.openSlots).toEqual([
    { slot: 93, direction: 'migrating', peer: 'b', node: '127.0.0.1:7000' },
    { slot: 93, direction: 'importing', peer: 'a', node: '127.0.0.1:7001' },
  ])
  expect(picture.differences).toEqual([])
  expect(renderStatus(picture, plain).join('\n')).toContain('open slots: 93;')
})

test('replicas of a node that nobody lists are shown all the same', () => {
  const shards = shardsOf(pictureOf(observationOf(withNode(WHOLE, 'ra', { follows: 'gone' }))))
  expect(shards.at(-1)).toMatchObject({ master: null, replicas: [{ port: 7003 }] })
})

test('nobody answers: what the first failed with', () => {
  const dead = WHOLE.map((node) => ({ ...node, down: true }))
  expect(() => pictureOf(observationOf(dead))).toThrow('ECONNREFUSED')
  expect(() => pictureOf(observationOf(withNode(WHOLE, 'b', { down: true })), 'b')).toThrow('ECONN')
})

describe('on a screen', () => {
  test('lines are cut by what is seen of them, and a colour ends where they are cut', () => {
    expect(cutLine('abc', 5)).toBe('abc')
    expect(cutLine('└─abcdef', 3)).toBe('└─a')
    expect(cutLine('\u001b[31mabcdef\u001b[39m', 3)).toBe('\u001b[31mabc\u001b[0m')
  })

  test('what is too long ends with how much is missing, and is one line less than the screen', () => {
    const text = Array.from({ length: 30 }, (_, i) => `line ${i}`)
    const lines = fitToScreen(text, 80, 10).split('\n')
    expect(lines).toHaveLength(9)
    expect(lines.at(-1)).toBe('... 22 more lines; make the window taller')
    expect(fitToScreen(['a', 'b'], 80, 10)).toBe('a\nb')
  })

  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 kB'],
    [104_857_600, '100 MB'],
    [2 ** 43, '8.0 TB'],
  ])('%d bytes are %s', (value, text) => expect(bytes(value)).toBe(text))
})
