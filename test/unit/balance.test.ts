import { describe, expect, it } from 'vitest'
import type { Node } from '../../src/connection/node.js'
import { Balance } from '../../src/queue/balance.js'

/** Only what it is matters here, not what it can do. */
const nodes = ['a', 'b'].map((name) => ({ name }) as Node)
const [a, b] = nodes as [Node, Node]
const takes = () => false
const takesNone = () => true

function balance(): Balance {
  const loads = new Balance()
  loads.reset([a, b])
  return loads
}

describe('of two masters', () => {
  it('neither runs far ahead of one that takes tasks', () => {
    const loads = balance()
    loads.add(a, 249)
    expect(loads.allows(a, takes)).toBe(true)
    loads.add(a, 1)
    expect(loads.allows(a, takes)).toBe(false)
    expect(loads.allows(b, takes)).toBe(true)
  })

  it('one that takes none holds up nobody, and a long pause of it is forgiven', () => {
    const loads = balance()
    loads.add(a, 2_499)
    expect(loads.allows(a, takesNone)).toBe(true)
    expect(loads.allows(a, takes)).toBe(false)
    loads.add(a, 1)
    expect(loads.allows(a, takesNone)).toBe(true)
    expect(loads.allows(a, takes)).toBe(true)
  })

  it('one that refused is not thought to have more', () => {
    const loads = balance()
    loads.add(a, 300)
    loads.giveBack(a, 300)
    expect(loads.allows(a, takes)).toBe(true)
    // Dealt before the shards changed, refused after.
    loads.giveBack(a, 300)
    loads.add(b, 100)
    expect(loads.allows(b, takes)).toBe(true)
  })
})
