import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { bundleName, membersOf, sizeOf } from '../../src/scripts/bundles.js'
import { checkpointCall } from '../../src/scripts/checkpoint.js'
import { deadListCall, deadRemoveCall, deadRetryCall } from '../../src/scripts/dead.js'
import { inspectCall } from '../../src/scripts/inspect.js'
import { renewCall } from '../../src/scripts/lease.js'
import { peekCall } from '../../src/scripts/peek.js'
import { surveyCall } from '../../src/scripts/survey.js'
import { recoverCall, tendCall } from '../../src/scripts/tend.js'
import { faultsOf, OwnPartition, taskIds } from '../helpers/partition.js'

let redis: Redis
let partition: OwnPartition

beforeAll(() => {
  redis = new Redis(inject('single').url)
})
afterAll(() => redis.disconnect())
afterEach(() => partition.remove())

function fresh(): void {
  partition = new OwnPartition(redis)
}

async function expectWhole() {
  const contents = await partition.contents()
  expect(faultsOf(contents, partition.voided)).toEqual([])
  return contents
}

const A = '0.pa'
const B = '0.pb'
const PAIR = bundleName('0.pc', 2)
const FIRST = `${PAIR}0`
const SECOND = `${PAIR}1`

describe('a name that stands twice', () => {
  it('in one acknowledged group, is completed once and keeps no other task from its lease', async () => {
    fresh()
    await partition.enqueue([A, B])
    await partition.exchange([], { leaseId: 'l' })
    expect((await partition.exchange([['l', A, A]])).digits).toBe('11')
    const { leases, counters, tasks } = await expectWhole()
    expect([...leases]).toEqual([['l', [B]]])
    expect([...tasks.keys()]).toEqual([B])
    expect(counters.get('completed')).toBe(1)
    expect((await partition.exchange([['l', A, B, A]])).digits).toBe('212')
    expect((await expectWhole()).open).toEqual([])
  })

  it.each([
    ['its bundle and then a task of it', [PAIR, FIRST], '11'],
    ['a task and then its bundle', [FIRST, PAIR], '11'],
    ['its bundle twice', [PAIR, PAIR], '11'],
    ['a task twice, and its bundle', [FIRST, FIRST, PAIR], '111'],
  ])('as %s, is completed once', async (_, names, digits) => {
    fresh()
    await partition.enqueue([PAIR, A])
    await partition.exchange([], { leaseId: 'l' })
    expect((await partition.exchange([['l', ...names]])).digits).toBe(digits)
    const { leases, counters } = await expectWhole()
    expect([...leases]).toEqual([['l', [A]]])
    expect(counters.get('completed')).toBe(2)
  })

  it.each([[[PAIR, FIRST]], [[FIRST, PAIR]]])(
    'as a task beside its bundle, is completed with it: %j',
    async (names) => {
      fresh()
      await partition.enqueue([PAIR])
      await partition.exchange([], { leaseId: 'l' })
      expect((await partition.exchange([['l', ...names]])).digits).toBe('11')
      const { open, counters } = await expectWhole()
      expect([open, counters.get('completed')]).toEqual([[], 2])
    },
  )

  it('as a task of a bundle, takes it apart once', async () => {
    fresh()
    await partition.enqueue([PAIR])
    await partition.exchange([], { leaseId: 'l' })
    expect((await partition.exchange([['l', FIRST, FIRST]])).digits).toBe('11')
    expect([...(await expectWhole()).leases]).toEqual([['l', [SECOND]]])
    expect((await partition.exchange([['l', PAIR, FIRST, SECOND]])).digits).toBe('321')
    expect((await expectWhole()).open).toEqual([])
  })

  it('in two groups, is completed by the one that holds it', async () => {
    fresh()
    await partition.enqueue([A])
    await partition.exchange([], { leaseId: 'one' })
    await partition.enqueue([B])
    await partition.exchange([], { leaseId: 'two' })
    const { digits } = await partition.exchange([
      ['two', A],
      ['one', A],
      ['two', A, B],
    ])
    expect(digits).toBe('1111')
    const { counters, open } = await expectWhole()
    expect(counters.get('completed')).toBe(2)
    expect(open).toEqual([])
  })

  it('in two leases, is completed once, and both leases end', async () => {
    fresh()
    await partition.enqueue([A, PAIR])
    await partition.exchange([], { leaseId: 'one' })
    // As one of two copies of a list's entry would be.
    await redis.sadd(partition.keys.lease('two'), A, PAIR)
    await redis.zadd(partition.keys.leases, Date.now() + 60_000, 'two')
    await redis.hincrby(partition.keys.bundled, 'active', 1)
    const { digits } = await partition.exchange([
      ['one', A, PAIR],
      ['two', A, PAIR],
    ])
    expect(digits).toBe('1111')
    const { counters, open } = await expectWhole()
    expect(counters.get('completed')).toBe(3)
    expect(open).toEqual([])
  })

  it('with a result, is remembered once', async () => {
    fresh()
    await partition.enqueue([A, PAIR])
    await partition.exchange([], { leaseId: 'l' })
    expect(
      (await partition.exchange([['l', A, A, FIRST, FIRST, SECOND]], undefined, { keepResultsMs: 60_000 }))
        .digits,
    ).toBe('11111')
    expect(await redis.zcard(partition.keys.resultExpiry)).toBe(3)
    expect((await expectWhole()).open).toEqual([])
  })

  it('in a ready list, is handed out once', async () => {
    fresh()
    await partition.enqueue([A, PAIR, B])
    const [, medium] = partition.keys.ready
    await redis.rpush(medium, A, PAIR, PAIR, A, B)
    await redis.hincrby(partition.keys.bundled, '1', 2)
    const { names } = await partition.exchange([], { leaseId: 'l' })
    expect(names).toEqual([A, PAIR, B])
    const { counters } = await expectWhole()
    expect(counters.get('delivered')).toBe(4)
  })

  it('in a ready list, once as a bundle that is taken apart, is handed out once', async () => {
    fresh()
    await partition.enqueue([A, PAIR])
    const [, medium] = partition.keys.ready
    await redis.rpush(medium, PAIR)
    await redis.hincrby(partition.keys.bundled, '1', 1)
    await partition.void([SECOND])
    const { names } = await partition.exchange([], { leaseId: 'l' })
    expect(names).toEqual([A, FIRST])
    expect((await expectWhole()).counters.get('delivered')).toBe(2)
    expect(await redis.llen(medium)).toBe(0)
  })

  it('in a ready list, is shown once', async () => {
    fresh()
    await partition.enqueue([A, PAIR])
    await redis.rpush(partition.keys.ready[1], A, FIRST)
    await redis.rpush(partition.keys.ready[2], PAIR)
    const next = await partition.run(peekCall(partition.keys, { most: 10, levels: [0, 1, 2] }))
    expect(next.map(({ id }) => id)).toEqual([A, FIRST, SECOND])
  })

  it.each([
    ['a task twice', [A, A], [1, 1], [A]],
    ['a bundle twice', [PAIR, PAIR], [1, 1], [PAIR]],
    ['a bundle and a task of it', [PAIR, FIRST], [1, 1], [PAIR]],
    ['a task and its bundle', [FIRST, PAIR], [1, 1], [PAIR]],
    ['a task of a bundle twice', [FIRST, FIRST], [1, 1], [FIRST]],
    ['several, in their order', [B, A, B], [1, 1, 1], [B, A]],
  ])('in what is handed back, as %s, goes back once', async (_, ids, replies, list) => {
    fresh()
    await partition.enqueue([A, PAIR, B])
    await partition.exchange([], { leaseId: 'l' })
    expect(await partition.release('l', ids)).toEqual(replies)
    expect((await expectWhole()).ready[1]).toEqual(list)
    await partition.release('l', [])
    expect((await expectWhole()).open).toEqual([])
  })

  it('in what is voided, is voided once', async () => {
    fresh()
    await partition.enqueue([A, PAIR])
    expect(await partition.void([A, A, FIRST, FIRST, '0.unknown'])).toEqual([A, FIRST])
    await expectWhole()
  })

  it('in what is removed from or retried of the dead, counts once', async () => {
    fresh()
    await partition.enqueue([A, B])
    await partition.exchange([], { leaseId: 'l' })
    for (const id of [A, B]) await partition.fail('l', id, 'die')
    expect(await partition.run(deadRemoveCall(partition.keys, [A, A]))).toBe(1)
    expect((await expectWhole()).counters.get('removed')).toBe(1)
    expect(await partition.run(deadRetryCall(partition.keys, [B, A, B]))).toBe(1)
    expect((await expectWhole()).ready[1]).toEqual([B])
  })

  it('in what is renewed, is renewed', async () => {
    fresh()
    await partition.enqueue([A])
    await partition.exchange([], { leaseId: 'l' })
    const call = renewCall(partition.keys, { leaseIds: ['l', 'l', 'x', 'x'], leaseMs: 60_000 })
    expect(await partition.run(call)).toEqual([true, true, false, false])
    await expectWhole()
  })
})

describe('a name without a record', () => {
  /** A and both of PAIR are held, and A and FIRST have been taken back by their producer. */
  async function takenBack() {
    fresh()
    await partition.enqueue([A, PAIR])
    await partition.exchange([], { leaseId: 'l' })
    await partition.void([A, FIRST])
  }

  it('leaves its lease when it is completed, and counts as nothing', async () => {
    await takenBack()
    expect((await partition.exchange([['l', A, PAIR]])).digits).toBe('13')
    expect((await partition.exchange([['l', FIRST, SECOND]])).digits).toBe('21')
    const { counters, open } = await expectWhole()
    expect(counters.get('completed')).toBe(1)
    expect(open).toEqual([])
  })

  it('is no longer there for who fails, extends or hands it back, and counts as nothing', async () => {
    await takenBack()
    expect(await partition.fail('l', FIRST)).toBe('gone')
    expect(await partition.fail('l', A, 'die')).toBe('gone')
    const { counters, dead, attempts } = await expectWhole()
    expect([counters.get('failed'), counters.get('dead'), dead, attempts]).toEqual([
      undefined,
      undefined,
      [],
      [],
    ])
    await takenBack()
    expect(await partition.extend('l', A)).toBe('gone')
    expect(await partition.extend('l', FIRST)).toBe('gone')
    expect(await partition.extend('l', SECOND)).toBe('done')
    expect((await expectWhole()).open).toEqual([`l:${SECOND}`])
    await takenBack()
    expect(await partition.release('l', [A, PAIR, FIRST])).toEqual([2, 1, 1])
    const { ready, open } = await expectWhole()
    expect([ready[1], open]).toEqual([[SECOND], []])
  })

  it('ends its lease with the last of them', async () => {
    fresh()
    await partition.enqueue([PAIR])
    await partition.exchange([], { leaseId: 'l' })
    await partition.void([FIRST, SECOND])
    expect((await partition.exchange([['l', FIRST]])).digits).toBe('2')
    expect((await expectWhole()).open).toEqual([])
  })

  it('in a ready list, is dropped; what is left of a bundle is handed out', async () => {
    fresh()
    await partition.enqueue([A, PAIR, B])
    await partition.void([A, SECOND])
    const { names } = await partition.exchange([], { leaseId: 'l', count: 3 })
    expect(names).toEqual([FIRST, B])
    expect((await expectWhole()).ready[1]).toEqual([])
  })

  it('among the dead can be seen and removed, and is not retried', async () => {
    fresh()
    await partition.enqueue([A, B])
    await partition.exchange([], { leaseId: 'l' })
    for (const id of [A, B]) await partition.fail('l', id, 'die')
    // As nothing does any more; a queue of an older version may have it.
    await redis.hdel(partition.keys.tasks, A, B)
    partition.voided += 2
    const list = () =>
      partition.run(deadListCall(partition.keys, { after: undefined, count: 10, bytes: 1_000 }))
    expect((await list()).map(({ id, record: text }) => [id, text]).sort()).toEqual([
      [A, ''],
      [B, ''],
    ])
    const found = await partition.run(inspectCall(partition.keys, { id: A, leaseIds: [] }))
    expect(found).toMatchObject({ state: 'dead', record: '', attemptsUsed: 1 })
    expect(await partition.run(deadRemoveCall(partition.keys, [A]))).toBe(1)
    expect(await partition.run(deadRetryCall(partition.keys, [B]))).toBe(0)
    expect((await list()).map(({ id }) => id)).toEqual([B])
    expect(await partition.run(deadRemoveCall(partition.keys, [B]))).toBe(1)
    expect(await list()).toEqual([])
    const { counters, dead, errors } = await expectWhole()
    expect([counters.get('removed'), dead, errors]).toEqual([undefined, [], []])
  })
})

describe('a lease', () => {
  it('of an id that is there already is not opened', async () => {
    fresh()
    await partition.enqueue([A, B])
    expect((await partition.exchange([], { leaseId: 'l', count: 1 })).names).toEqual([A])
    const second = await partition.exchange([], { leaseId: 'l', count: 1 })
    expect([second.names, second.result.fetched]).toEqual([[], []])
    expect(second.result.outlook.levels).toEqual([false, true, false])
    const { leases, ready } = await expectWhole()
    expect([...leases]).toEqual([['l', [A]]])
    expect(ready[1]).toEqual([B])
    expect((await partition.exchange([['l', A]], { leaseId: 'l', count: 1 })).names).toEqual([B])
  })

  it('goes back in the order in which its tasks were enqueued, however many', async () => {
    fresh()
    // Over several lengths; a locale would sort letters and digits in ways of its own.
    const ids = Array.from({ length: 1_400 }, (_, i) => `0.p${(i + 30).toString(36)}`)
    for (let at = 0; at < ids.length; at += 700) await partition.enqueue(ids.slice(at, at + 700))
    const { names } = await partition.exchange([], { leaseId: 'l', count: 1_400 })
    expect(names).toEqual(ids)
    await partition.release('l', [])
    const { ready, open } = await expectWhole()
    expect(ready[1]).toEqual(ids)
    expect(open).toEqual([])
  })
})

describe('a random mixture', () => {
  it.each([1, 2, 3])('leaves every task in one place, and every count right (seed %i)', async (seed) => {
    fresh()
    await mixture(seed, 400)
  })
})

/** mulberry32 */
function randomOf(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

async function mixture(seed: number, steps: number): Promise<void> {
  const random = randomOf(seed)
  const upTo = (most: number) => Math.floor(random() * (most + 1))
  const pick = <Value>(from: readonly Value[]): Value | undefined => from[Math.floor(random() * from.length)]
  const repeat = <Value>(count: number, make: () => Value) => Array.from({ length: count }, make)
  const named: string[] = []
  let next = 0
  let leases = 0

  /** A name out of all that there ever were; with more luck one of `likely`, or a task of it. */
  const anyName = (likely: readonly string[]): string => {
    const name = (random() < 0.8 ? pick(likely) : pick(named)) ?? '0.unknown'
    return random() < 0.5 ? name : (pick(membersOf(name))?.id ?? name)
  }
  const anyId = (likely: readonly string[]): string => {
    const name = anyName(likely)
    return pick(membersOf(name))?.id ?? name
  }

  for (let step = 0; step < steps; step++) {
    const before = await partition.contents()
    const held = [...before.leases]
    const [leaseId = 'none', names = []] = pick(held) ?? []
    const what = pick(['enqueue', 'exchange', 'exchange', 'exchange', 'release', 'fail', ...OTHERS]) ?? ''
    const told: unknown[] = [`seed ${seed}`, `step ${step}`, what, leaseId]
    switch (what) {
      case 'enqueue': {
        const fresh = repeat(1 + upTo(5), () => {
          const base = `0.p${(next++).toString(36)}`
          return random() < 0.5 ? base : bundleName(base, 2 + upTo(4))
        })
        named.push(...fresh)
        const level = upTo(2) as 0 | 1 | 2
        const delayed = random() < 0.2
        if (delayed)
          await partition.enqueue(
            fresh.filter((name) => sizeOf(name) === 1),
            { level, delayMs: upTo(1) },
          )
        else await partition.enqueue(fresh, { level })
        break
      }
      case 'exchange': {
        const groups = repeat(upTo(3), (): readonly [string, ...string[]] => {
          const [id = 'none', set = []] = (random() < 0.9 ? pick(held) : undefined) ?? []
          return [id, ...repeat(1 + upTo(4), () => anyName(set))]
        })
        const keepMs = random() < 0.3 ? 60_000 : 0
        const fetch =
          random() < 0.6
            ? {
                leaseId: random() < 0.1 ? leaseId : `l${leases++}`,
                count: 1 + upTo(8),
                least: upTo(4),
                leaseMs: random() < 0.3 ? 0 : 60_000,
                levels: [0, 1, 2].filter(() => random() < 0.8),
              }
            : undefined
        told.push(JSON.stringify({ groups, keepMs, fetch }))
        const { digits, names: taken } = await partition.exchange(groups, fetch, { keepResultsMs: keepMs })
        const after = await partition.contents()
        const asked = groups.flatMap(([, ...each]) => each)
        const entries = keepMs > 0 ? asked.flatMap((name) => membersOf(name).map(({ id }) => id)) : asked
        const answers = new Map<string, Set<string>>()
        entries.forEach((name, i) => {
          for (const { id } of membersOf(name))
            answers.set(id, (answers.get(id) ?? new Set()).add(digits.charAt(i)))
        })
        const [was, is] = [new Set(taskIds(before)), new Set(taskIds(after))]
        const ended = [...was].filter((id) => !is.has(id))
        // One that is held and was voided meanwhile is answered the same, but was not there any more.
        const completed = [...answers]
          .filter(([id, given]) => given.has('1') && was.has(id))
          .map(([id]) => id)
        expect(completed.sort(), told.join(' ')).toEqual(ended.sort())
        for (const [id, given] of answers) {
          if (given.has('0')) expect(was.has(id), told.join(' ')).toBe(true)
          if (given.has('2')) expect(is.has(id), told.join(' ')).toBe(false)
        }
        if (taken.length > 0) expect(after.leases.get(fetch?.leaseId ?? '')?.sort()).toEqual(taken.sort())
        break
      }
      case 'release':
        await partition.release(leaseId, random() < 0.3 ? [] : repeat(1 + upTo(4), () => anyName(names)))
        break
      case 'fail':
        await partition.fail(leaseId, anyId(names), pick([0, 0, 60_000, 'die'] as const))
        break
      case 'extend':
        await partition.extend(leaseId, anyId(names))
        break
      case 'recover':
        if (leaseId !== 'none') await partition.run(recoverCall(partition.keys, leaseId))
        break
      case 'tend':
        await partition.run(tendCall(partition.keys))
        break
      case 'void':
        await partition.void(repeat(1 + upTo(2), () => anyId(names)))
        break
      case 'checkpoint': {
        const input = { id: anyId(names), step: 's', data: '1', limitBytes: 1_000, leaseId }
        await partition.run(checkpointCall(partition.keys, input))
        break
      }
      case 'dead': {
        const ids = repeat(1 + upTo(2), () => pick(before.dead) ?? '0.unknown')
        const call = random() < 0.5 ? deadRemoveCall : deadRetryCall
        await partition.run(call(partition.keys, ids))
        break
      }
    }
    const after = await partition.contents()
    expect(faultsOf(after, partition.voided), told.join(' ')).toEqual([])
    const { ready, active } = await partition.run(surveyCall(partition.keys))
    const count = (all: readonly string[]) => all.reduce((sum, name) => sum + sizeOf(name), 0)
    expect(ready).toEqual(after.ready.map(count))
    expect(active).toBe(count([...after.leases.values()].flat()))
  }
}

const OTHERS = ['extend', 'recover', 'recover', 'tend', 'void', 'checkpoint', 'dead']
