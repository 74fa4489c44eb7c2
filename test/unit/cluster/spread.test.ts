import { describe, expect, it } from 'vitest'
import { type Placed, type Spread, spread } from '../../../src/cluster/spread.js'
import { Random } from '../../chaos/storm/random.js'

/** `a a b`: two nodes on host a, one on b. */
const on = (hosts: string): Placed[] =>
  hosts.split(' ').map((host, index) => ({ host, name: `${host}:${7000 + index}` }))

const mastersBy = (nodes: readonly Placed[], { masters }: Spread) => {
  const counts: Record<string, number> = {}
  for (const index of masters) {
    const host = nodes[index]?.host ?? ''
    counts[host] = (counts[host] ?? 0) + 1
  }
  return counts
}

const together = (nodes: readonly Placed[], { replicas }: Spread) =>
  replicas.filter(({ node, master }) => nodes[node]?.host === nodes[master]?.host).length

describe('roles are spread over hosts', () => {
  it.each([
    ['six hosts with a node each', 'a b c d e f', 1],
    ['three hosts with two each, host by host', 'a a b b c c', 1],
    ['three hosts with two each, in turn', 'a b c a b c', 1],
    ['three hosts with three each, two replicas', 'a a a b b b c c c', 2],
    ['hosts of unequal size', 'a a a b b c', 1],
    ['five masters on five hosts', 'a a b b c c d d e e', 1],
  ])('%s: nothing is lost with any one host', (_, hosts, replicas) => {
    const nodes = on(hosts)
    const plan = spread(nodes, replicas)
    expect(plan.shortcomings).toEqual([])
    expect(together(nodes, plan)).toBe(0)
    const most = Math.ceil(plan.masters.length / 2) - 1
    for (const count of Object.values(mastersBy(nodes, plan))) expect(count).toBeLessThanOrEqual(most)
  })

  it('keeps the replicas of one master apart', () => {
    const nodes = on('a a a b b b c c c')
    const { masters, replicas } = spread(nodes, 2)
    for (const master of masters) {
      const hosts = replicas.filter((each) => each.master === master).map(({ node }) => nodes[node]?.host)
      expect(new Set([nodes[master]?.host, ...hosts]).size).toBe(3)
    }
  })

  it('gives a crowded host fewer masters where its replicas need masters elsewhere', () => {
    const nodes = on('a a a a a b b b b')
    expect(together(nodes, spread(nodes, 2))).toBe(0)
  })
})

describe('what cannot be had is said, with the reason', () => {
  it('one host', () => {
    const { shortcomings } = spread(on('a a a a a a'), 1)
    expect(shortcomings).toEqual([
      expect.stringMatching(/^a has 3 of 3 masters: .*at least 3 hosts, and here are 1$/),
      expect.stringMatching(/^a has masters and their own replicas \(.*\): with it both are lost/),
    ])
  })

  it('two hosts: master and replica are apart, and one of the hosts still has the majority', () => {
    const nodes = on('a a a b b b')
    const plan = spread(nodes, 1)
    expect(together(nodes, plan)).toBe(0)
    expect(plan.shortcomings).toEqual([expect.stringContaining('has 2 of 3 masters')])
  })

  it('half of the masters is as bad as most of them', () => {
    expect(spread(on('a a b b c c d d'), 1).shortcomings).toEqual([])
    expect(spread(on('a a a a b b b b'), 1).shortcomings).toHaveLength(2)
  })

  it('no replicas', () => {
    expect(spread(on('a b c'), 0).shortcomings).toEqual([expect.stringContaining('no master has a replica')])
  })

  it.each([
    ['a b', 0, 'name at least 3'],
    ['a b c d e', 1, 'name at least 6'],
    ['a b c d e f g', 1, 'name 6 or 8'],
    ['a b c', -1, 'expected 0, 1, 2'],
    ['a b c', 0.5, 'expected 0, 1, 2'],
  ])('%s with %s replicas is refused', (hosts, replicas, problem) => {
    expect(() => spread(on(hosts), replicas)).toThrow(problem)
  })
})

/** Counts, by trying every choice of how many masters each host has, whether both wishes can be had at once. */
function canBeHad(sizes: readonly number[], masters: number, replicas: number): boolean {
  const most = Math.ceil(masters / 2) - 1
  const choose = (at: number, left: number): boolean => {
    if (at === sizes.length) return left === 0
    const size = sizes[at] ?? 0
    for (let own = 0; own <= Math.min(size, most, left); own++)
      if (size - own <= replicas * (masters - own) && choose(at + 1, left - own)) return true
    return false
  }
  return choose(0, masters)
}

it('whatever the hosts: every node has one role, and what can be had is had', () => {
  const random = new Random(7)
  let had = 0
  for (let round = 0; round < 1_000; round++) {
    const replicas = random.between(0, 3)
    const masters = 3 + random.between(0, 4)
    const hosts = 1 + random.between(0, 6)
    const nodes = Array.from({ length: masters * (replicas + 1) }, (_, index) => {
      const host = `host${random.between(0, hosts - 1)}`
      return { host, name: `${host}:${7000 + index}` }
    })
    const plan = spread(nodes, replicas)
    const roles = [...plan.masters, ...plan.replicas.map(({ node }) => node)].sort((a, b) => a - b)
    expect(roles).toEqual([...nodes.keys()])
    for (const master of plan.masters)
      expect(plan.replicas.filter((each) => each.master === master)).toHaveLength(replicas)

    const counts = new Map<string, number>()
    for (const { host } of nodes) counts.set(host, (counts.get(host) ?? 0) + 1)
    const possible = canBeHad([...counts.values()], masters, replicas)
    const context = JSON.stringify({ round, sizes: [...counts], masters, replicas })
    if (replicas > 0) expect(plan.shortcomings.length === 0, context).toBe(possible)
    if (possible) {
      had++
      expect(together(nodes, plan), context).toBe(0)
    }
  }
  expect(had).toBeGreaterThan(100)
})
