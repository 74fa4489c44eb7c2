import { describe, expect, it } from 'vitest'
import { keyPatterns, onceName, partitionKeys, QUEUES_KEY, queueKeys } from '../../../src/keys/keys.js'
import { ROLE_NAMES } from '../../../src/rights/roles.js'
import { rulesOf } from '../../../src/rights/rules.js'

const rules = (role: (typeof ROLE_NAMES)[number], queues?: string[], version = '7.0.15') =>
  rulesOf([role], { version, ...(queues ? { queues } : {}) })

/** As the server matches (redis/src/util.c, stringmatchlen), as far as our patterns go. */
function matches(pattern: string, key: string): boolean {
  const source = pattern.replaceAll(/\\(.)|\*|[^*\\]/g, (part, escaped) =>
    part === '*' ? '.*' : (escaped ?? part).replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
  )
  return new RegExp(`^${source}$`, 's').test(key)
}

describe('patterns of keys', () => {
  const keysOf = (queue: string) => {
    const { ready, lease, producer, once, ...rest } = partitionKeys(queue, '4x')
    const whole = queueKeys(queue).map(({ key }) => key)
    const keys = [once(onceName('o', undefined)), once(onceName('o', 'p'))]
    return [...whole, ...ready, lease('l'), producer('p'), ...keys, ...Object.values(rest)]
  }

  it.each(['a', 'a:b', 'a*', '[a]', 'a\\b', 'queues'])('%s: cover every key of the queue', (queue) => {
    for (const key of keysOf(queue)) {
      expect(
        keyPatterns(queue).some((pattern) => matches(pattern, key)),
        key,
      ).toBe(true)
      expect(keyPatterns().some((pattern) => matches(pattern, key))).toBe(true)
    }
  })

  it.each([
    ['a', 'a:b'],
    ['a', 'ab'],
    ['a*', 'ab'],
    ['[ab]', 'a'],
    ['a?', 'ab'],
  ])('of %s: no key of %s, nor the list of all queues', (queue, other) => {
    for (const key of [...keysOf(other), QUEUES_KEY])
      expect(keyPatterns(queue).filter((pattern) => matches(pattern, key))).toEqual([])
  })

  it('of all queues: not the list of them', () => {
    expect(keyPatterns().some((pattern) => matches(pattern, QUEUES_KEY))).toBe(false)
  })
})

describe('rules', () => {
  it.each(ROLE_NAMES)('%s may not do what harms all', (role) => {
    const granted = rules(role)
    const all = ['flushall', 'flushdb', 'keys', 'scan', 'script', 'replicaof', 'module', 'monitor']
    // Whether a cluster is empty before it is restored to; the operator may read every key anyway.
    for (const never of all.filter((command) => role !== 'operator' || command !== 'scan'))
      expect(granted.filter((rule) => rule === `+${never}` || rule.startsWith(`+${never}|`))).toEqual([])
    expect(granted.some((rule) => /^\+@/.test(rule))).toBe(false)
    expect(granted).toContain('-@all')
  })

  it('metrics may read, and no more', () => {
    for (const rule of rules('metrics')) if (rule.includes('~')) expect(rule).toMatch(/^%R~/)
  })

  it('limited to queues, they name these; whoever watches or operates is not limited', () => {
    const limited = rules('producer', ['a'])
    expect(limited).toEqual(expect.arrayContaining(['~shardq:a:{*', '~shardq:{a}:queue', '&shardq:a:{*']))
    expect(limited.join(' ')).not.toContain('shardq:*')
    expect(rules('operator', ['a'])).toEqual(rules('operator'))
    expect(rules('metrics', ['a'])).toEqual(rules('metrics'))
  })

  it.each([
    ['7.0.15', false],
    ['7.2.4', true],
    ['8.0.1', true],
    ['10.0', true],
  ])('a server %s is asked for WAITAOF: %s', (version, asked) => {
    expect(rules('producer', undefined, version).includes('+waitaof')).toBe(asked)
  })

  it('of several roles are those of each, and what may be written is not said to be read', () => {
    const both = rulesOf(['producer', 'metrics'], { version: '8.0' })
    expect(both).toEqual(expect.arrayContaining(['+rpush', '+hgetall', '~shardq:*{*']))
    expect(both).not.toContain('%R~shardq:*{*')
    expect(new Set(both).size).toBe(both.length)
  })
})
