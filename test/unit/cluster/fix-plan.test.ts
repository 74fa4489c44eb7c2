import { describe, expect, test } from 'vitest'
import { commandsOf, type FixPlan, type FixStep, planFrom } from '../../../src/cluster/fix/index.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { type Imagined, observationOf, WHOLE, withNode } from '../../helpers/observations.js'

type Keys = Readonly<Record<string, Readonly<Record<number, number>>>>

function evidence(
  nodes: readonly Imagined[],
  keys: Keys = {},
  sees: Parameters<typeof observationOf>[1] = {},
) {
  const counted = Object.entries(keys).map(
    ([id, slots]) =>
      [id, new Map(Object.entries(slots).map(([slot, count]) => [Number(slot), count]))] as const,
  )
  return {
    observation: observationOf(nodes, sees),
    keys: new Map(counted),
    noted: new Map<number, string[]>(),
  }
}

const plan = (...args: Parameters<typeof evidence>) => planFrom(evidence(...args))
const planAll = (...args: Parameters<typeof evidence>) => planFrom(evidence(...args), { bringHome: true })

/** What is done, short: kind, slot or slots, ports from and to. */
const brief = ({ steps }: FixPlan) => steps.map(briefOf)

function briefOf(step: FixStep): string {
  switch (step.kind) {
    case 'close':
      return `close ${step.slot} on ${step.sides.map(({ node }) => node.id)}`
    case 'finish':
    case 'bring-home':
    case 'drop-same':
      return `${step.kind} ${step.slot} ${step.from.id}>${step.to.id}`
    case 'assign':
      return `assign ${step.slots.length} from ${step.slots[0]} to ${step.to.id}`
    case 'rejoin':
      return `rejoin ${step.gives.map(({ slots, to }) => `${slots}>${to.id}`)} ${step.node.id} follows ${step.follows.id}`
    case 'introduce':
      return `introduce ${step.node.port} to ${step.to.port}`
    case 'give-back':
      return `${step.node.id} gets back ${step.told}`
    case 'forget':
      return `forget ${step.node.id} on ${step.at.map(({ id }) => id)}`
  }
}

const opened = (aOpen: string, bOpen: string) =>
  withNode(withNode(WHOLE, 'a', { slots: `0-5460 ${aOpen}` }), 'b', { slots: `5461-10922 ${bOpen}` })

test('a whole cluster has nothing to mend', () => {
  expect(plan(WHOLE)).toEqual({ steps: [], left: [] })
})

describe('nodes that the others have lost sight of', () => {
  /** All came back ten ports higher, and know of the others what they knew. */
  const back = WHOLE.map((node) => ({ ...node, port: node.port + 10 }))
  const sees = (moved: readonly Imagined[]) =>
    Object.fromEntries(
      moved.map(({ id }) => [
        id,
        WHOLE.map((node) =>
          node.id === id
            ? { ...node, port: node.port + 10 }
            : { ...node, flags: 'fail', link: 'disconnected' },
        ),
      ]),
    )

  test('all under other addresses: one is told of the others', () => {
    expect(brief(plan(back, {}, sees(back)))).toEqual([
      ...['introduce 7011 to 7010', 'introduce 7012 to 7010', 'introduce 7013 to 7010'],
      ...['introduce 7014 to 7010', 'introduce 7015 to 7010'],
    ])
  })

  test('one that was reset: its slots go to its replica, it is added again, and nobody forgets the owner of slots', () => {
    const others = WHOLE.map((node) => (node.id === 'a' ? { ...node, flags: 'fail,noaddr' } : node))
    const nodes = WHOLE.map((node) => (node.id === 'a' ? { id: 'new', port: 7000 } : node))
    const views = Object.fromEntries(
      nodes.map(({ id }) => [id, id === 'new' ? [{ id: 'new', port: 7000 }] : others]),
    )
    const { steps, left } = plan(nodes, {}, views)
    expect(steps).toEqual([])
    expect(left.map(({ remedy }) => remedy)).toEqual([
      'let its replica take over, which has the keys: redis-cli -h 127.0.0.1 -p 7003 CLUSTER FAILOVER FORCE',
      'when all slots have an owner that answers: shardq cluster add-node 127.0.0.1:7000 --node 127.0.0.1:7001 --replica-of auto',
    ])
  })
})

describe('open slots', () => {
  test.each([
    ['both ends, keys only here', '[93->-b]', '[93-<-a]', { a: { 93: 5 } }, 'close 93 on b,a'],
    ['both ends, no keys at all', '[93->-b]', '[93-<-a]', {}, 'close 93 on b,a'],
    ['both ends, keys on both', '[93->-b]', '[93-<-a]', { a: { 93: 5 }, b: { 93: 2 } }, 'finish 93 a>b'],
    ['both ends, all keys there', '[93->-b]', '[93-<-a]', { b: { 93: 2 } }, 'finish 93 a>b'],
    ['only migrating, no keys there', '[93->-b]', '', { a: { 93: 5 } }, 'close 93 on a'],
    ['only migrating, keys there', '[93->-b]', '', { a: { 93: 5 }, b: { 93: 1 } }, 'finish 93 a>b'],
    ['only importing, no keys there', '', '[93-<-a]', { a: { 93: 5 } }, 'close 93 on b'],
    ['only importing, keys there', '', '[93-<-a]', { a: { 93: 5 }, b: { 93: 1 } }, 'drop-same 93 b>a'],
    ['only importing, all keys there', '', '[93-<-a]', { b: { 93: 1 } }, 'bring-home 93 b>a'],
    ['left open by a node that has given the slot away', '[6000->-b]', '', {}, 'close 6000 on a'],
    ['the same, with keys left behind', '[6000->-b]', '', { a: { 6000: 1 } }, 'bring-home 6000 a>b'],
  ] as const)('%s', (_, aOpen, bOpen, keys, step) => {
    expect(brief(plan(opened(aOpen, bOpen), keys))).toEqual([step])
  })

  test('only importing, keys there that a move has brought: the owner has taken the place of the one that sent them', () => {
    const noted = new Map([[93, ['b']]])
    const nodes = opened('', '[93-<-ra]')
    expect(brief(planFrom({ ...evidence(nodes, { a: { 93: 5 }, b: { 93: 2 } }), noted }))).toEqual([
      'finish 93 a>b',
    ])
  })

  test('keys on a third node go to where the slot ends up, and its end is not closed before they have', () => {
    const nodes = withNode(opened('[93->-b]', '[93-<-a]'), 'c', { slots: '10923-16383 [93-<-a]' })
    const found = plan(nodes, { a: { 93: 5 }, b: { 93: 2 }, c: { 93: 1 } })
    expect(brief(found)).toEqual(['finish 93 a>b', 'drop-same 93 c>b'])
    expect(found.left).toMatchObject([{ remedy: expect.stringContaining('--bring-home') }])
    const wanted = planAll(nodes, { a: { 93: 5 }, b: { 93: 2 }, c: { 93: 1 } })
    expect(brief(wanted)).toEqual(['finish 93 a>b', 'bring-home 93 c>b'])
    expect(brief(plan(nodes, { a: { 93: 5 }, b: { 93: 2 } }))).toEqual(['close 93 on c', 'finish 93 a>b'])
  })

  test('the other end became a replica: its keys are its master’s', () => {
    const failedOver = withNode(withNode(opened('[93->-b]', ''), 'b', { slots: '', follows: 'rb' }), 'rb', {
      follows: '-',
      slots: '5461-10922',
    } as Partial<Imagined>)
    expect(brief(plan(failedOver, { a: { 93: 5 }, rb: { 93: 1 } }))).toEqual(['finish 93 a>rb'])
  })

  describe('on the way to one that was promoted in place of a master that does not answer', () => {
    const replaced = (info: string) =>
      withNode(
        withNode(withNode(opened('[93->-rb]', ''), 'b', { slots: '', down: true, flags: 'fail' }), 'a', {
          info,
        }),
        'rb',
        { follows: '-', slots: '5461-10922 [93-<-a]' },
      )
    const keys = { a: { 93: 5 }, rb: { 93: 2 } }

    test('Redis: finished', () => {
      expect(brief(plan(replaced('redis_version:8.0.2'), keys))).toEqual(['finish 93 a>rb'])
    })

    test('Valkey: left, since that one would claim it when it comes back, and all that it had', () => {
      const { steps, left } = plan(replaced('redis_version:7.2.4 valkey_version:8.1.1'), keys)
      expect(steps).toEqual([])
      expect(left).toMatchObject([
        {
          what: 'slot 93 of 127.0.0.1:7000 on the way to 127.0.0.1:7004',
          remedy:
            'start it again, and then once more: shardq cluster fix; or, if it is gone for good, and is never started on its nodes.conf again, ' +
            'with which it would claim them: shardq cluster fix --forget b',
        },
        { what: 'master 127.0.0.1:7001, which does not answer' },
      ])
    })

    test('Valkey, and that one is gone for good: finished', () => {
      const seen = evidence(replaced('redis_version:7.2.4 valkey_version:8.1.1'), keys)
      expect(brief(planFrom(seen, { forget: ['b'] }))).toEqual(['finish 93 a>rb', 'forget b on a,c,ra,rb,rc'])
    })
  })

  test('the other end does not answer, or nobody knows it: left', () => {
    const down = plan(withNode(opened('[93->-b]', ''), 'b', { down: true, slots: '5461-10922' }), {
      a: { 93: 5 },
    })
    expect(down.steps).toEqual([])
    expect(down.left[0]?.what).toBe('slot 93 of 127.0.0.1:7000 on the way to 127.0.0.1:7001')
    const gone = plan(opened('[93->-gone]', ''), { a: { 93: 5 } })
    expect(gone.steps).toEqual([])
    expect(gone.left).toMatchObject([{ what: 'slot 93 of 127.0.0.1:7000 on the way to gone' }])
  })

  describe('the other end is gone for good', () => {
    const without = withNode(opened('[93->-b]', ''), 'b', { down: true, flags: 'fail', slots: '' })
    const nodes = withNode(withNode(without, 'c', { slots: '5461-16383' }), 'rb', { follows: 'c' })
    const afterwards = (keys: Keys, { noted = [] as string[], bringHome = false } = {}) =>
      planFrom({ ...evidence(nodes, keys), noted: new Map([[93, noted]]) }, { forget: ['b'], bringHome })

    test.each([
      ['nobody else has keys: the slot stays', { a: { 93: 5 } }, {}, ['close 93 on a']],
      ['nobody has any', {}, {}, ['close 93 on a']],
      ['one has all of them', { c: { 93: 5 } }, {}, ['finish 93 a>c']],
      [
        'one has copies with a note: it was promoted in its place',
        { a: { 93: 5 }, c: { 93: 6 } },
        { noted: ['c'] },
        ['finish 93 a>c'],
      ],
      [
        'one has keys that may be those, and they are wanted',
        { a: { 93: 5 }, c: { 93: 6 } },
        { bringHome: true },
        ['finish 93 a>c'],
      ],
    ] as const)('%s', (_, keys, how, steps) => {
      const found = afterwards(keys, { ...how, noted: [...('noted' in how ? how.noted : [])] })
      expect(brief(found).slice(0, -1)).toEqual(steps)
      expect(brief(found).at(-1)).toMatch(/^forget b/)
      expect(found.left).toEqual([])
    })

    test('one has keys that may be old ones of anybody: both stay, and that is said', () => {
      const found = afterwards({ a: { 93: 5 }, c: { 93: 6 } })
      expect(brief(found)[0]).toBe('close 93 on a')
      expect(found.left.map(({ remedy }) => remedy).join()).toContain('--bring-home')
    })

    test('before it was named as gone, the remedy is to name it', () => {
      const { left } = planFrom(evidence(nodes, { a: { 93: 5 } }))
      expect(left[0]?.remedy).toContain('shardq cluster fix --forget b')
      expect(left[0]?.remedy).not.toContain('STABLE')
    })
  })

  test('the commands: never REPLACE', () => {
    const [step] = plan(opened('[93->-b]', '[93-<-a]'), { a: { 93: 5 }, b: { 93: 2 } }).steps
    expect(step && commandsOf(step)).toEqual([
      '127.0.0.1:7001> CLUSTER SETSLOT 93 IMPORTING a',
      '127.0.0.1:7000> CLUSTER SETSLOT 93 MIGRATING b',
      '127.0.0.1:7000> MIGRATE 127.0.0.1 7001 "" 0 <ms> KEYS ... (5 keys)',
      '127.0.0.1:7000 and 127.0.0.1:7001, then every master> CLUSTER SETSLOT 93 NODE b',
    ])
  })
})

test('keys on the wrong node may have been deleted by an owner that has others: left, unless they are wanted', () => {
  const keys = { a: { 93: 1 }, c: { 93: 4 } }
  const found = plan(WHOLE, keys)
  expect(brief(found)).toEqual(['drop-same 93 c>a'])
  expect(found.left).toMatchObject([
    {
      what: 'keys of slot 93 on 127.0.0.1:7002, where nobody finds them, while 127.0.0.1:7000, the owner, has others',
      remedy: expect.stringContaining('shardq cluster fix --bring-home'),
    },
  ])
  expect(brief(planAll(WHOLE, keys))).toEqual(['bring-home 93 c>a'])
})

test('keys on the wrong node of a slot that is closed go to its owner', () => {
  expect(brief(plan(WHOLE, { c: { 93: 4, 6000: 1 } }))).toEqual(['bring-home 93 c>a', 'bring-home 6000 c>b'])
})

describe('slots without an owner', () => {
  const without = withNode(WHOLE, 'a', { slots: '100-5460' })

  test('no keys anywhere: the master with the fewest slots gets them', () => {
    expect(brief(plan(without))).toEqual(['assign 100 from 0 to a'])
    const more = withNode(WHOLE, 'c', { slots: '10923-16000' })
    expect(brief(plan(more))).toEqual(['assign 383 from 16001 to c'])
  })

  test('who has keys of them gets them; keys on others follow', () => {
    expect(brief(plan(without, { b: { 3: 2 }, c: { 3: 1 } }))).toEqual([
      'assign 99 from 0 to a',
      'assign 1 from 3 to b',
      'bring-home 3 c>b',
    ])
  })

  test('others take a node for their owner that does not say so itself: it is told', () => {
    expect(
      brief(
        plan(
          withNode(WHOLE, 'b', { slots: '5461-10922' }),
          {},
          { b: withNode(WHOLE, 'b', { slots: '5461-10000' }) },
        ),
      ),
    ).toEqual(['assign 922 from 10001 to b'])
  })

  test('no keys here, but a master is missing that may have some: left, unless keys are found', () => {
    const missing = withNode(without, 'c', { down: true, slots: '10923-16383' })
    const found = plan(missing)
    expect(found.steps).toEqual([])
    expect(found.left.map(({ what }) => what)).toEqual([
      '100 slots (0-99) without an owner',
      '5461 slots (10923-16383) of 127.0.0.1:7002, which does not answer',
    ])
    expect(brief(plan(missing, { b: { 3: 2 } }))).toEqual(['assign 1 from 3 to b'])
  })
})

const PROMOTED = 'master_replid2:8f4b'

describe('a master that came back with slots that its promoted replica does not have', () => {
  const twice = [
    ...withNode(withNode(WHOLE, 'a', { slots: '5-5460', info: PROMOTED }), 'ra', {
      slots: '3-4',
      follows: '-',
      info: '',
    }),
    { id: 'd', port: 7006, slots: '0-2', info: '' },
    { id: 'rd', port: 7007, follows: 'd', info: 'master_link_status:up' },
  ]
  const rejoining = (nodes: readonly Imagined[]) => brief(plan(nodes))

  test('its slots go there, and it follows', () => {
    expect(rejoining(twice)).toEqual(['rejoin 3,4>a ra follows a'])
  })

  test('past old copies that the promoted one has: to whoever has none', () => {
    expect(brief(plan(twice, { a: { 3: 1 }, ra: { 3: 2 } }))).toEqual([
      'drop-same 3 a>ra',
      'rejoin 3>d,4>a ra follows a',
    ])
  })

  test('also where the promoted one has fewer', () => {
    const fewer = withNode(withNode(twice, 'a', { info: '' }), 'ra', { info: PROMOTED })
    expect(rejoining(fewer)).toEqual(['rejoin 3,4>a ra follows a'])
  })

  test('not where something else may be meant', () => {
    const withReplica = [...twice, { id: 're', port: 7008, follows: 'ra', info: 'master_link_status:up' }]
    expect(rejoining(withReplica)).toEqual([])
    expect(rejoining(withNode(twice, 'rb', { follows: 'c' }))).toEqual([])
    expect(
      rejoining(
        withNode(withNode(twice, 'a', { slots: '2100-5460', info: PROMOTED }), 'ra', { slots: '3-2099' }),
      ),
    ).toEqual([])
    const three = twice.filter(({ id }) => id !== 'd' && id !== 'rd')
    expect(
      rejoining(withNode(withNode(three, 'a', { slots: '5-8000', info: PROMOTED }), 'ra', { slots: '0-4' })),
    ).toEqual([])
  })

  test('not where it would lose keys that nobody else may have, nor where nobody was promoted', () => {
    expect(brief(plan(twice, { ra: { 93: 1 }, a: { 93: 2 } }))).toEqual(['drop-same 93 ra>a'])
    expect(rejoining(withNode(twice, 'a', { slots: '5-5460', info: 'master_replid2:0000' }))).toEqual([])
  })

  test('first the slots get owners', () => {
    expect(rejoining(withNode(twice, 'a', { slots: '6-5460' }))).toEqual(['assign 1 from 5 to ra'])
  })
})

describe('what is left', () => {
  test('slots whose owner is down, with the replica that could take over', () => {
    const { steps, left } = plan(withNode(WHOLE, 'a', { down: true, flags: 'fail' }))
    expect(steps).toEqual([])
    expect(left).toEqual([
      {
        what: '5461 slots (0-5460) of 127.0.0.1:7000, which does not answer',
        why: 'it may have keys of them that no node has which answers',
        remedy:
          'start it again on its old data, or if it runs under another address, name that too (redis.nodes); or let its replica take over: redis-cli -h 127.0.0.1 -p 7003 CLUSTER FAILOVER FORCE',
      },
    ])
  })

  test('a slot that two nodes claim', () => {
    const { steps, left } = plan(WHOLE, {}, { b: withNode(WHOLE, 'b', { slots: '5460-10922' }) })
    expect(steps).toEqual([])
    expect(left.map(({ what }) => what)).toEqual([
      'slot 5460 claimed by 127.0.0.1:7000 and by 127.0.0.1:7001',
      expect.stringContaining(
        'views that differ: 127.0.0.1:7001 sees 127.0.0.1:7001 as master of 5460-10922',
      ),
    ])
  })

  test('a replica that is down: it may come back, unless it is named', () => {
    const dead = evidence(withNode(WHOLE, 'ra', { down: true, flags: 'fail' }))
    expect(planFrom(dead).left).toMatchObject([{ what: 'replica 127.0.0.1:7003, which does not answer' }])
    for (const name of ['ra', '127.0.0.1:7003']) {
      const named = planFrom(dead, { forget: [name] })
      expect(brief(named)).toEqual(['forget ra on a,b,c,rb,rc'])
      expect(named.left).toEqual([])
    }
  })

  test.each([
    ['whose shard has no replica', withNode(WHOLE, 'ra', { down: true, flags: 'fail' })],
    ['beside its replica', WHOLE],
  ])(
    'one that takes no more clients, and that the others hear from, is not gone: a master %s',
    (_, nodes) => {
      const full = evidence(withNode(nodes, 'a', { down: true }))
      expect(() => planFrom(full, { forget: ['a'] })).toThrow(InvalidOptionError)
      expect(() => planFrom(full, { forget: ['a'] })).toThrow(
        /a lives: 127\.0\.0\.1:7001 .*hears from it.*connect ECONNREFUSED.*maxclients/,
      )
    },
  )

  test('one that a single node still hears from is not gone either', () => {
    const dead = withNode(WHOLE, 'ra', { down: true, flags: 'fail', link: 'disconnected' })
    const seen = evidence(dead, {}, { c: withNode(WHOLE, 'ra', { down: true }) })
    expect(() => planFrom(seen, { forget: ['ra'] })).toThrow('127.0.0.1:7002 hears from it')
  })

  test.each(['handshake', 'noaddr', 'fail?', 'fail'])('one that is %s is nobody who lives', (flags) => {
    const dead = evidence(withNode(WHOLE, 'ra', { down: true, flags }))
    expect(brief(planFrom(dead, { forget: ['ra'] }))).toEqual(['forget ra on a,b,c,rb,rc'])
  })

  describe('a master and its replica are both down', () => {
    const down = { down: true, flags: 'fail' }
    const dead = withNode(withNode(WHOLE, 'ra', down), 'a', down)
    const forget = (...names: string[]) => planFrom(evidence(dead), { forget: names })

    test('the replica may have all of its keys: what is told of both is how to get them', () => {
      const { steps, left } = planFrom(evidence(dead))
      expect(steps).toEqual([])
      expect(left.map(({ remedy }) => remedy)).toEqual([
        'start it again on its old data, or if it runs under another address, name that too (redis.nodes); or start its replica ' +
          '127.0.0.1:7003, and let that take over: redis-cli -h 127.0.0.1 -p 7003 CLUSTER FAILOVER TAKEOVER; or, if they and their data are gone for ' +
          'good: shardq cluster fix --forget a --forget ra, which gives its slots to those that have keys of them, and the rest to others, ' +
          'without keys',
        'start it again; or, if it is gone for good: shardq cluster fix --forget ra',
      ])
    })

    test('the master is not given up as long as the replica is not', () => {
      expect(() => forget('a')).toThrow(InvalidOptionError)
      expect(() => forget('a')).toThrow(
        '127.0.0.1:7003, its replica, may have its data: start it, and let it take over: redis-cli -h 127.0.0.1 -p 7003 CLUSTER FAILOVER TAKEOVER; or, if both are gone for good: shardq cluster fix --forget a --forget ra',
      )
      expect(brief(forget('127.0.0.1:7003', 'a'))).toEqual([
        'assign 5461 from 0 to c',
        'forget ra on b,c,rb,rc',
        'forget a on b,c,rb,rc',
      ])
    })

    test('nor do slots of which nobody knows whose they were go to others', () => {
      const without = withNode(dead, 'a', { slots: '' })
      const { steps, left } = planFrom(evidence(without))
      expect(steps).toEqual([])
      expect(left[0]).toMatchObject({
        why: 'no node that answers has keys of them, but 127.0.0.1:7000, 127.0.0.1:7003 may, and does not answer',
        remedy: expect.stringContaining('--forget ra'),
      })
      // One whose master answers has nothing that this one has not.
      const other = withNode(withNode(WHOLE, 'rb', down), 'c', { slots: '10924-16383' })
      expect(brief(planFrom(evidence(other)))).toEqual(['assign 1 from 10923 to c'])
    })
  })

  test('one without slots is not given up as long as a replica follows it', () => {
    const dead = withNode(withNode(WHOLE, 'a', { down: true, flags: 'fail', slots: '' }), 'c', {
      slots: '0-5460 10923-16383',
    })
    const forget = (nodes: readonly Imagined[], ...names: string[]) =>
      planFrom(evidence(nodes), { forget: names })
    expect(() => forget(dead, 'a')).toThrow(
      /7003 follows it, .*: redis-cli -h 127\.0\.0\.1 -p 7003 CLUSTER REPLICATE [bc]$/,
    )
    const both = withNode(dead, 'ra', { down: true, flags: 'fail' })
    expect(() => forget(both, 'a')).toThrow(
      /start it, and .* REPLICATE [bc]; or, .*: .*--forget a --forget ra$/,
    )
    expect(brief(forget(both, 'a', 'ra')).slice(-2)).toEqual([
      'forget a on b,c,rb,rc',
      'forget ra on b,c,rb,rc',
    ])
    expect(brief(forget(withNode(dead, 'ra', { follows: 'b' }), 'a'))).toEqual(['forget a on b,c,ra,rb,rc'])
  })

  test.each([
    ['nobody', 'knows'],
    ['rb', 'answers'],
    ['a', 'owns slots'],
  ])('forgetting %s is wrong usage: it %s', (name, reason) => {
    const dead = evidence(withNode(WHOLE, 'a', { down: true, flags: 'fail' }))
    expect(() => planFrom(dead, { forget: [name] })).toThrow(InvalidOptionError)
    expect(() => planFrom(dead, { forget: [name] })).toThrow(reason)
  })
})
