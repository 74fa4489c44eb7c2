import { describe, expect, it } from 'vitest'
import type { Node } from '../../src/connection/node.js'
import { BufferedBytes } from '../../src/queue/buffered-bytes.js'

const nodes = ['a', 'b'].map((name) => ({ name }) as Node)
const [a, b] = nodes as [Node, Node]

/** Partitions 0 and 1 on one master, 2 and 3 on the other; 1,000 bytes in all. */
const buffered = () => new BufferedBytes(1_000, [a, a, b, b])

describe('room for tasks that wait', () => {
  it('with a key, for one master: a quarter, and none of the others is refused for it', () => {
    const bytes = buffered()
    bytes.add(0, 150)
    bytes.add(1, 100)
    expect(bytes.shortage(1, 10)).toMatchObject({ of: 'shard', bytes: 250, master: a })
    expect(bytes.shortage(2, 250)).toBeUndefined()
    expect(bytes.shortage(undefined, 750)).toBeUndefined()
    expect(bytes.shortage(undefined, 760)).toEqual({ of: 'all', bytes: 250 })
    bytes.remove(0, 150)
    expect(bytes.shortage(1, 10)).toBeUndefined()
  })

  it('with a key, for all masters: three quarters', () => {
    const four = ['a', 'b', 'c', 'd'].map((name) => ({ name }) as Node)
    const bytes = new BufferedBytes(1_000, four)
    for (const partition of [0, 1, 2]) bytes.add(partition, 250)
    expect(bytes.shortage(3, 10)).toEqual({ of: 'keyed', bytes: 750 })
    expect(bytes.shortage(undefined, 250)).toBeUndefined()
  })

  it('without a key: all of it', () => {
    const bytes = buffered()
    bytes.add(undefined, 1_000)
    expect(bytes.shortage(undefined, 1)).toEqual({ of: 'all', bytes: 1_000 })
  })

  it('is not divided where there is one master', () => {
    const bytes = new BufferedBytes(1_000, [a, a])
    bytes.add(0, 900)
    expect(bytes.shortage(1, 100)).toBeUndefined()
    expect(bytes.shortage(1, 101)).toMatchObject({ of: 'all' })
  })

  it('is there for one that is larger than all of it, while nothing else waits', () => {
    const bytes = buffered()
    expect(bytes.shortage(0, 5_000)).toBeUndefined()
    expect(bytes.isCrowded(0, 5_000, 100)).toBe(false)
    bytes.add(undefined, 1)
    expect(bytes.shortage(0, 5_000)).toMatchObject({ of: 'all' })
  })

  it('goes with the partitions when they have another master', () => {
    const bytes = buffered()
    bytes.add(0, 200)
    bytes.add(2, 200)
    expect(bytes.shortage(0, 60)).toMatchObject({ of: 'shard' })
    bytes.regroup([b, a, b, b])
    expect(bytes.shortage(1, 60)).toBeUndefined()
    expect(bytes.shortage(0, 60)).toMatchObject({ of: 'shard', bytes: 400, master: b })
  })

  it('is short for who has many before any of them is refused', () => {
    const bytes = buffered()
    bytes.add(0, 100)
    expect(bytes.isCrowded(1, 10, 99)).toBe(true)
    expect(bytes.isCrowded(2, 10, 99)).toBe(false)
    expect(bytes.isCrowded(undefined, 10, 99)).toBe(false)
    expect(bytes.isCrowded(1, 151, 500)).toBe(true)
    expect(bytes.isCrowded(1, 150, 500)).toBe(false)
  })
})
