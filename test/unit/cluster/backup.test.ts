import { describe, expect, it } from 'vitest'
import { Crc64 } from '../../../src/cluster/backup/crc64.js'
import { coverageFault } from '../../../src/cluster/backup/manifest.js'
import { RdbReader } from '../../../src/cluster/backup/rdb.js'
import { changeBetween, judge, type Standing } from '../../../src/cluster/backup/standing.js'
import { type Imagined, observationOf, WHOLE, withNode } from '../../helpers/observations.js'

const crcOf = (bytes: Buffer) => {
  const crc = new Crc64()
  crc.update(bytes)
  return crc.digest()
}

/** Version 10, written by 7.0.15 at place 1,000 of its log, a function, 300 keys of which 2 expire. */
function rdb(): Buffer {
  const text = (value: string) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)])
  const aux = (name: string, value: Buffer) => Buffer.concat([Buffer.from([250]), text(name), value])
  const body = Buffer.concat([
    Buffer.from('REDIS0010'),
    aux('redis-ver', text('7.0.15')),
    aux('repl-offset', Buffer.from([0xc1, 0xe8, 0x03])),
    Buffer.from([245]),
    text('#!lua name=f'),
    Buffer.from([254, 0, 251, 0x41, 0x2c, 2]),
    Buffer.from('keys and values, which only a server can read'),
    Buffer.from([255]),
  ])
  return Buffer.concat([body, crcOf(body)])
}

function read(bytes: Buffer, step = bytes.length) {
  const reader = new RdbReader()
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step))
  return reader.end()
}

describe('an RDB', () => {
  it('is read in whatever pieces it comes', () => {
    for (const step of [1, 7, 8, 9, 1_000])
      expect(read(rdb(), step)).toMatchObject({
        ...{ version: 10, server: '7.0.15', keys: 300, expiring: 2, offset: 1_000, checksummed: true },
        bytes: rdb().length,
      })
  })

  it('has the checksum that Redis computes', () => {
    expect(crcOf(Buffer.from('123456789')).toString('hex')).toBe('cad9b8c414d9c6e9')
  })

  it('is not taken when it is cut off, changed, or something else', () => {
    const changed = rdb()
    changed.writeUInt8(0x2d, 60)
    expect(() => read(changed)).toThrow(/CRC64/)
    expect(() => read(rdb().subarray(0, -9))).toThrow(/cut off/)
    expect(() => read(Buffer.from('<html>not found</html>'))).toThrow(/not an RDB/)
  })
})

describe('whether a cluster can be backed up', () => {
  const everybodySees = Object.fromEntries(WHOLE.map(({ id }) => [id, WHOLE]))
  const faultsOf = (nodes: readonly Imagined[], sees = {}) => {
    const found = judge(observationOf(nodes, sees))
    return 'faults' in found ? found.faults.join('; ') : ''
  }

  it.each([
    ['nothing wrong', WHOLE, {}, /^$/],
    [
      'a clone',
      [...WHOLE, { id: 'a', port: 7006 }],
      everybodySees,
      /7000 and 127.0.0.1:7006 have the same id a/,
    ],
    [
      'an owner down',
      withNode(WHOLE, 'b', { down: true }),
      {},
      /7001, which serves slots 5461-10922, does not/,
    ],
    ['a replica down', withNode(WHOLE, 'rb', { down: true }), {}, /^$/],
    ['slots of nobody', withNode(WHOLE, 'a', { slots: '0-5450' }), {}, /10 of 16384 slots have no owner/],
    ['an open slot', withNode(WHOLE, 'a', { slots: '0-5460 [93->-b]' }), {}, /slot 93 is open \(migrating/],
    ['views that differ', WHOLE, { c: withNode(WHOLE, 'a', { slots: '0-5450' }) }, /sees 127.0.0.1:7000 as/],
  ] as const)('%s', (_, nodes, sees, faults) => {
    expect(faultsOf(nodes, sees)).toMatch(faults)
  })

  it.each([
    ['nothing', WHOLE, null],
    [
      'a failover',
      [...WHOLE.slice(1, 3), { id: 'ra', port: 7003, slots: '0-5460' }],
      /7000 serves no slots any more/,
    ],
    ['another start', withNode(WHOLE, 'a', { info: 'run_id:2' }), /7000 was started again/],
    [
      'slots that moved',
      withNode(withNode(WHOLE, 'a', { slots: '0-5450' }), 'b', { slots: '5451-10922' }),
      /7000 serves other slots/,
    ],
  ] as const)('what has changed meanwhile: %s', (_, after, change) => {
    const before = judge(observationOf(WHOLE)) as Standing
    const found = changeBetween(before, observationOf(after))
    if (change === null) expect(found).toBeNull()
    else expect(found).toMatch(change)
  })
})

it('each slot has to be in one file, and in one only', () => {
  expect(coverageFault([{ slots: [[0, 8_000]] }, { slots: [[8_001, 16_383]] }])).toBeNull()
  expect(coverageFault([{ slots: [[0, 8_000]] }])).toBe('8383 slots are in none of its files')
  expect(coverageFault([{ slots: [[0, 16_383]] }, { slots: [[5, 6]] }])).toBe(
    '2 slots are in more than one file',
  )
})
