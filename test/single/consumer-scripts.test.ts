import type { Redis } from 'ioredis'
import { beforeAll, beforeEach, describe, expect, inject, it } from 'vitest'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import { type AdmitInput, admitCall } from '../../src/scripts/admit.js'
import { type ReassertedTask, reassertCall } from '../../src/scripts/reassert.js'
import type { ScriptCall } from '../../src/scripts/script.js'
import { recoverCall, tendCall } from '../../src/scripts/tend.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))
const RECORD = '14|["note",1,1]'

let redis: Redis
let partition: Partition

beforeAll(async () => {
  redis = (await harness.masters())[0] as Redis
})
beforeEach(() => {
  partition = makePartitions(harness.name(), 1)[0] as Partition
})

async function run<Value>({ script, keys, args, parse }: ScriptCall<Value>): Promise<Value> {
  return parse(await redis.eval(script.source, keys.length, ...keys, ...args))
}

const ready = () => redis.lrange(partition.keys.ready[1], 0, -1)

describe('recovering a lease', () => {
  async function lease(names: readonly string[], records: Record<string, string>) {
    const { keys } = partition
    await redis.sadd(keys.lease('l'), ...names)
    await redis.zadd(keys.leases, 1, 'l')
    if (Object.keys(records).length > 0) await redis.hset(keys.tasks, records)
  }

  it('puts tasks back in the order of their enqueue, also in several calls', async () => {
    // Enough for more than one call, and ids that grow in length.
    const ids = Array.from({ length: 800 }, (_, i) => `0.p${i.toString(36)}`)
    await lease(ids, Object.fromEntries(ids.map((id) => [id, RECORD])))
    await redis.rpush(partition.keys.ready[1], '0.pzzz')
    const first = await run(recoverCall(partition.keys, 'l'))
    expect(first).toEqual({ kind: 'recovered', back: 500, died: 0, left: 300 })
    const second = await run(recoverCall(partition.keys, 'l'))
    expect(second).toEqual({ kind: 'recovered', back: 300, died: 0, left: 0 })
    expect(await ready()).toEqual([...ids, '0.pzzz'])
    expect(await redis.exists(partition.keys.lease('l'), partition.keys.leases)).toBe(0)
    expect(await redis.hget(partition.keys.counters, 'recovered')).toBe('800')
  })

  it('counts what it finds: names without a record, and bundles of which a part is gone', async () => {
    const { keys } = partition
    // Of the bundle, void.lua has taken the records apart and removed one.
    await lease(['0.a', '0.b~3', '0.c', '0.d~2'], {
      '0.a': RECORD,
      '0.b~30': RECORD,
      '0.b~32': '11|["note",1,1]',
      '0.d~2': `${RECORD}\n${RECORD}`,
    })
    await redis.hset(keys.bundled, { active: 3 })
    expect(await run(recoverCall(keys, 'l'))).toEqual({ kind: 'recovered', back: 4, died: 1, left: 0 })
    expect(await ready()).toEqual(['0.a', '0.b~30', '0.d~20', '0.d~21'])
    expect(await redis.zrange(keys.dead, '0', '-1')).toEqual(['0.b~32'])
    expect(await redis.hmget(keys.counters, 'recovered', 'dead')).toEqual(['4', '1'])
    expect(await redis.hget(keys.bundled, 'active')).toBe('0')
  })
})

describe('tending', () => {
  it('drops what is scheduled without a record, and says when results expire', async () => {
    const { keys } = partition
    await redis.zadd(keys.scheduled, 1, '0.gone', 1, '0.there')
    await redis.hset(keys.tasks, '0.there', RECORD)
    await redis.zadd(keys.resultExpiry, Date.now() + 60_000, '0.result')
    const { outlook, more } = await run(tendCall(keys))
    expect([await ready(), await redis.zcard(keys.scheduled), more]).toEqual([['0.there'], 0, false])
    expect(outlook.resultInMs).toBeGreaterThan(50_000)
    expect(outlook.scheduledInMs).toBeUndefined()
  })

  it('says that more is due than one call moves', async () => {
    const { keys } = partition
    const results = Array.from({ length: 700 }, (_, i) => `0.${i}`)
    await redis.zadd(keys.resultExpiry, ...results.flatMap((id) => [1, id]))
    await redis.hset(keys.results, ...results.flatMap((id) => [id, 'x']))
    expect((await run(tendCall(keys))).more).toBe(true)
    expect((await run(tendCall(keys))).more).toBe(false)
    expect(await redis.exists(keys.results, keys.resultExpiry)).toBe(0)
  })
})

describe('asserting what is held', () => {
  const task = (id: string, attemptsUsed = 0, others: string[] = [], leaseId = 'l'): ReassertedTask => {
    return { id, attemptsUsed, leaseId, leaseMs: 5_000, others }
  }
  const assert = (...tasks: ReassertedTask[]) => run(reassertCall(partition.keys, tasks))

  it('takes a task from its list only if nothing has happened to it', async () => {
    const { keys } = partition
    const ids = ['0.ready', '0.failed', '0.elsewhere', '0.held']
    await redis.hset(keys.tasks, Object.fromEntries(ids.map((id) => [id, RECORD])))
    await redis.rpush(keys.ready[1], '0.failed', '0.ready', '0.other')
    await redis.hset(keys.attempts, '0.failed', 1)
    await redis.sadd(keys.lease('l'), '0.held')
    const answers = await assert(...ids.map((id) => task(id)), task('0.absent'))
    expect(answers).toEqual(['held', 'lost', 'unclear', 'held', 'absent'])
    expect(await ready()).toEqual(['0.failed', '0.other'])
    expect((await redis.smembers(keys.lease('l'))).sort()).toEqual(['0.held', '0.ready'])
    const untilMs = Number(await redis.zscore(keys.leases, 'l'))
    expect(Math.abs(untilMs - Date.now() - 5_000)).toBeLessThan(2_000)
  })

  it('finds a task at both ends of a long list, and does not look through all of it', async () => {
    const { keys } = partition
    const ids = Array.from({ length: 25_000 }, (_, i) => `0.${i}`)
    for (let i = 0; i < ids.length; i += 5_000) await redis.rpush(keys.ready[1], ...ids.slice(i, i + 5_000))
    const asked = ['0.9999', '0.12000', '0.24999']
    await redis.hset(keys.tasks, Object.fromEntries(asked.map((id) => [id, RECORD])))
    expect(await assert(...asked.map((id) => task(id)))).toEqual(['held', 'unclear', 'held'])
  })

  it('finds a task wherever a master may have it that has forgotten more than the hand-out', async () => {
    const { keys } = partition
    const ids = ['0.before', '0.scheduled', '0.failed', '0.other']
    await redis.hset(keys.tasks, Object.fromEntries(ids.map((id) => [id, RECORD])))
    // It was failed, and handed out again, or given a lease of its own.
    await redis.sadd(keys.lease('old'), '0.before')
    await redis.sadd(keys.lease('stranger'), '0.other')
    await redis.zadd(keys.leases, 1_000, 'old', '1000', 'stranger')
    await redis.zadd(keys.scheduled, 1_000, '0.scheduled')
    await redis.rpush(keys.ready[1], '0.failed')
    const answers = await assert(
      task('0.before', 1, ['older', 'old']),
      task('0.scheduled', 0, [], 'm'),
      task('0.failed', 2),
      task('0.other', 0, ['old']),
    )
    expect(answers).toEqual(['held', 'held', 'held', 'unclear'])
    expect((await redis.smembers(keys.lease('l'))).sort()).toEqual(['0.before', '0.failed'])
    expect(await redis.smembers(keys.lease('m'))).toEqual(['0.scheduled'])
    expect((await redis.zrange(keys.leases, '0', '-1')).sort()).toEqual(['l', 'm', 'stranger'])
    expect(await redis.hgetall(keys.attempts)).toEqual({ '0.before': '1', '0.failed': '2' })
    expect(await redis.exists(keys.lease('old'), keys.scheduled, keys.ready[1])).toBe(0)
  })

  it('opens no lease for nothing', async () => {
    expect(await assert(task('0.absent'))).toEqual(['absent'])
    expect(await redis.exists(partition.keys.leases)).toBe(0)
  })
})

it('a look tells the time of the server, by which its leases run out', async () => {
  const before = Number((await redis.time())[0]) * 1_000
  const { serverMs } = await run(tendCall(partition.keys))
  expect(serverMs).toBeGreaterThanOrEqual(before)
  expect(serverMs).toBeLessThan(before + 5_000)
})

describe('letting consumers in', () => {
  const WAIT_MS = 3_000
  const FOR_YEARS_MS = 366 * 24 * 3_600_000
  /** Of who has not heard of this life of the server before. */
  const stranger = { leastMs: WAIT_MS, loadingMs: 0, heard: undefined }

  /** The same of a server that says this of itself: as after its clock was set. */
  function saying(uptime: number, input: AdmitInput, life = 'abc') {
    const call = admitCall(partition.keys, input)
    const info = `'run_id:${life}\\r\\nuptime_in_seconds:${uptime}\\r\\n'`
    const source = call.script.source.replace("redis.pcall('INFO', 'server')", info)
    if (source === call.script.source) throw new Error('admit.lua does not ask in this way any more')
    return run({ ...call, script: { ...call.script, source } })
  }

  it('lets in who comes first, and all others in the same life of the server', async () => {
    const careful = { leastMs: FOR_YEARS_MS, loadingMs: 5_000, heard: undefined }
    const first = await run(admitCall(partition.keys, careful))
    expect(first).toEqual({ waitMs: 0, life: expect.stringMatching(/^[0-9a-f]{40}$/) })
    expect(await run(admitCall(partition.keys, careful))).toEqual(first)
  })

  it('has them wait for a server that was restarted a moment ago, or was loading its data', async () => {
    const { keys } = partition
    const asked = async (leastMs: number, loadingMs: number) =>
      (await run(admitCall(keys, { leastMs, loadingMs, heard: undefined }))).waitMs
    await redis.set(keys.admitted, 'another life')
    expect(await asked(FOR_YEARS_MS, 0)).toBeGreaterThan(1_000)
    expect(await asked(0, 2_500)).toBe(2_500)
    expect(await asked(0, 0)).toBe(0)
    expect(await asked(FOR_YEARS_MS, 2_500)).toBe(0)
  })

  it('a server whose clock was set back is waited for no longer than any, and then not at all', async () => {
    await redis.set(partition.keys.admitted, 'another life')
    for (const uptime of [-3_600, -1, 0]) {
      expect(await saying(uptime, stranger)).toEqual({ waitMs: WAIT_MS, life: 'abc' })
      const half = { ...stranger, heard: { life: 'abc', sinceMs: 1_400 } }
      expect(await saying(uptime, half)).toEqual({ waitMs: 1_600, life: 'abc' })
    }
    const patient = { ...stranger, heard: { life: 'abc', sinceMs: WAIT_MS } }
    expect(await saying(-3_600, patient)).toEqual({ waitMs: 0, life: 'abc' })
    expect(await saying(-3_600, stranger)).toEqual({ waitMs: 0, life: 'abc' })
  })

  it('what was heard of another life of the server counts for nothing', async () => {
    await redis.set(partition.keys.admitted, 'another life')
    const heard = { life: 'another life', sinceMs: FOR_YEARS_MS }
    expect(await saying(0, { ...stranger, heard })).toEqual({ waitMs: WAIT_MS, life: 'abc' })
  })

  it('whole seconds that a server has been up are taken for up to one less', async () => {
    await redis.set(partition.keys.admitted, 'another life')
    // It began at the end of one second of its clock, and this is the beginning of another.
    const { waitMs } = await saying(3, stranger)
    expect(waitMs).toBeGreaterThan(0)
    expect(waitMs).toBeLessThanOrEqual(1_000)
    expect((await saying(4, stranger)).waitMs).toBe(0)
  })
})
