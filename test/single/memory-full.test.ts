import { readdirSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type SingleServer, startSingle } from '../../src/cluster.js'
import { admitCall } from '../../src/scripts/admit.js'
import { bundleName } from '../../src/scripts/bundles.js'
import { checkpointCall } from '../../src/scripts/checkpoint.js'
import { deadIdsCall, deadListCall, deadRemoveCall, deadRetryCall } from '../../src/scripts/dead.js'
import { depthCall } from '../../src/scripts/depth.js'
import { inspectCall } from '../../src/scripts/inspect.js'
import { renewCall } from '../../src/scripts/lease.js'
import { pauseCall } from '../../src/scripts/pause.js'
import { peekCall } from '../../src/scripts/peek.js'
import { reassertCall } from '../../src/scripts/reassert.js'
import { surveyCall } from '../../src/scripts/survey.js'
import { recoverCall, tendCall } from '../../src/scripts/tend.js'
import { touchCommand } from '../../src/scripts/touch.js'
import { locateCall, pageCall, snapshotCall } from '../../src/scripts/verify.js'
import { faultsOf, OwnPartition } from '../helpers/partition.js'

/** What each script does on a server that is over maxmemory: all that drains a queue has its full effect, and nothing is added. */

let server: SingleServer
let redis: Redis
let partition: OwnPartition

beforeAll(async () => {
  server = await startSingle({ settings: { 'maxmemory-policy': 'noeviction' } })
  redis = new Redis(server.url)
})
afterAll(async () => {
  redis.disconnect()
  await server.stop()
})
beforeEach(() => {
  partition = new OwnPartition(redis)
})
afterEach(() => redis.config('SET', 'maxmemory', '0'))

const A = '0.pa'
const B = '0.pb'
const C = '0.pc'
const PAIR = bundleName('0.pd', 2)
const FIRST = `${PAIR}0`
const SECOND = `${PAIR}1`

/** From here on, until the test ends. */
async function memoryFull(): Promise<void> {
  await redis.config('SET', 'maxmemory', '1')
  await expect(redis.set('x', 1)).rejects.toThrow('OOM')
}

async function whole() {
  const contents = await partition.contents()
  expect(faultsOf(contents, partition.voided)).toEqual([])
  return contents
}

async function held(names: readonly string[], leaseMs = 60_000) {
  await partition.enqueue(names)
  expect((await partition.exchange([], { leaseId: 'l', leaseMs })).names).toEqual(names)
}

async function dead(names: readonly string[]) {
  await held(names)
  for (const id of names) await partition.fail('l', id, 'die')
}

/** Every key with all that is in it. */
async function everything(): Promise<Record<string, string>> {
  const keys = (await redis.keys('*')).sort()
  const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)))
  return Object.fromEntries(keys.map((key, i) => [key, values[i]?.toString('base64') ?? '']))
}

const checkpoint = (id: string, bytes: number) =>
  partition.run(
    checkpointCall(partition.keys, {
      id,
      step: 's',
      data: JSON.stringify('x'.repeat(bytes)),
      limitBytes: 1_000_000,
      leaseId: 'l',
    }),
  )

const CASES: Record<string, () => Promise<void>> = {
  async enqueue() {
    await partition.enqueue([A])
    await memoryFull()
    const before = await everything()
    for (const options of [{}, { delayMs: 1_000 }, { idempotencyKey: 'k' }])
      await expect(partition.enqueue([B], options)).rejects.toThrow('OOM')
    await expect(partition.enqueue([PAIR])).rejects.toThrow('OOM')
    expect(await everything()).toEqual(before)
  },

  async exchange() {
    await held([A, B, PAIR])
    await partition.enqueue([C])
    await memoryFull()
    const { digits, names } = await partition.exchange(
      [['l', A, FIRST]],
      { leaseId: 'm' },
      { carried: 'wait:3 12' },
    )
    expect([digits, names]).toEqual(['11', [C]])
    const { leases, counters } = await whole()
    expect(leases.get('l')?.sort()).toEqual([B, SECOND])
    expect([counters.get('completed'), counters.get('wait:3')]).toEqual([2, 12])
    expect((await partition.exchange([['l', B, SECOND]])).digits).toBe('11')
    expect((await whole()).open).toEqual(['m'])
  },

  async release() {
    await held([A, B, C, PAIR])
    await memoryFull()
    expect(await partition.release('l', [C, SECOND])).toEqual([1, 1])
    await partition.release('l', [])
    const { ready, open } = await whole()
    expect([ready[1], open]).toEqual([[A, B, FIRST, C, SECOND], []])
  },

  async fail() {
    await held([A, B, PAIR])
    await memoryFull()
    expect(await partition.fail('l', A)).toBe('done')
    expect(await partition.fail('l', B, 60_000)).toBe('done')
    expect(await partition.fail('l', FIRST, 'die')).toBe('done')
    const { ready, scheduled, dead, errors, attempts, counters } = await whole()
    expect([ready[1], scheduled, dead, errors]).toEqual([[A], [B], [FIRST], [FIRST]])
    expect(attempts.sort()).toEqual([A, B, FIRST])
    expect([counters.get('failed'), counters.get('retried'), counters.get('dead')]).toEqual([3, 2, 1])
  },

  async renew() {
    await held([A], 1_000)
    const before = Number(await redis.zscore(partition.keys.leases, 'l'))
    await memoryFull()
    expect(await partition.run(renewCall(partition.keys, { leaseIds: ['l'], leaseMs: 60_000 }))).toEqual([
      true,
    ])
    expect(Number(await redis.zscore(partition.keys.leases, 'l'))).toBeGreaterThan(before + 50_000)
  },

  async extend() {
    await held([A, PAIR])
    await memoryFull()
    expect(await partition.extend('l', A)).toBe('done')
    expect(await partition.extend('l', FIRST)).toBe('done')
    const { leases } = await whole()
    expect([...leases].sort()).toEqual([
      ['l', [SECOND]],
      [`l:${A}`, [A]],
      [`l:${FIRST}`, [FIRST]],
    ])
  },

  async checkpoint() {
    await held([A, PAIR])
    await memoryFull()
    expect(await checkpoint(A, 3_000)).toEqual({ kind: 'saved' })
    expect(await checkpoint(A, 3_500)).toEqual({ kind: 'saved' })
    expect(await checkpoint(FIRST, 10)).toEqual({ kind: 'saved' })
    expect((await checkpoint(A, 5_000)).kind).toBe('memory')
    const { checkpoints } = await whole()
    expect(checkpoints.sort()).toEqual([A, FIRST])
    expect(await redis.hstrlen(partition.keys.checkpoints, A)).toBeLessThan(4_096)
  },

  async pause() {
    await partition.enqueue([A])
    await memoryFull()
    await partition.run(pauseCall(partition.keys, true))
    expect((await partition.exchange([], { leaseId: 'l' })).names).toEqual([])
    await partition.run(pauseCall(partition.keys, false))
    expect((await partition.exchange([], { leaseId: 'l' })).names).toEqual([A])
  },

  async touch() {
    await memoryFull()
    const [name = '', ...args] = touchCommand(partition.keys)
    await redis.call(String(name), ...args)
    expect(await redis.exists(partition.keys.probe)).toBe(1)
  },

  async depth() {
    await dead([A])
    // Bundles were here, and none is under a lease any more.
    await redis.hset(partition.keys.bundled, 'active', '0')
    await memoryFull()
    expect(await partition.run(depthCall(partition.keys))).toEqual([0, 0, 0, 0, 1, 0])
  },

  async 'dead-list'() {
    await dead([A])
    await memoryFull()
    const letters = await partition.run(
      deadListCall(partition.keys, { after: undefined, count: 10, bytes: 1_000 }),
    )
    expect(letters.map(({ id }) => id)).toEqual([A])
  },

  async 'dead-ids'() {
    await dead([A])
    await memoryFull()
    const page = { after: undefined, count: 10, bytes: 1_000, type: undefined }
    expect((await partition.run(deadIdsCall(partition.keys, page)))?.ids).toEqual([A])
  },

  async 'dead-remove'() {
    await dead([A, B])
    await memoryFull()
    expect(await partition.run(deadRemoveCall(partition.keys, [A]))).toBe(1)
    const { dead: left, counters } = await whole()
    expect([left, counters.get('removed')]).toEqual([[B], 1])
  },

  async 'dead-retry'() {
    await dead([A, B])
    await memoryFull()
    expect(await partition.run(deadRetryCall(partition.keys, [A]))).toBe(1)
    const { dead: left, ready, errors, attempts } = await whole()
    expect([left, ready[1], errors, attempts]).toEqual([[B], [A], [B], [B]])
  },

  async admit() {
    await memoryFull()
    const stranger = { leastMs: 3_000, loadingMs: 0, heard: undefined }
    expect((await partition.run(admitCall(partition.keys, stranger))).waitMs).toBe(0)
    expect(await redis.exists(partition.keys.admitted)).toBe(1)
  },

  async reassert() {
    await partition.enqueue([A, B])
    await memoryFull()
    const task = { id: B, attemptsUsed: 1, leaseId: 'l', leaseMs: 60_000, others: [] }
    expect(await partition.run(reassertCall(partition.keys, [task]))).toEqual(['held'])
    const { ready, leases } = await whole()
    expect([ready[1], leases.get('l')]).toEqual([[A], [B]])
  },

  async inspect() {
    await held([A, PAIR])
    await memoryFull()
    for (const id of [A, FIRST])
      expect(await partition.run(inspectCall(partition.keys, { id, leaseIds: ['l'] }))).toMatchObject({
        state: 'active',
      })
  },

  async peek() {
    await partition.enqueue([A, PAIR])
    await memoryFull()
    const next = await partition.run(peekCall(partition.keys, { most: 10, levels: [0, 1, 2] }))
    expect(next.map(({ id }) => id)).toEqual([A, FIRST, SECOND])
  },

  async survey() {
    await partition.enqueue([A, PAIR])
    await memoryFull()
    expect(await partition.run(surveyCall(partition.keys))).toMatchObject({ ready: [0, 3, 0] })
  },

  async 'verify-snapshot'() {
    await partition.enqueue([A, PAIR])
    await memoryFull()
    expect((await partition.run(snapshotCall(partition.keys, 100))).contents?.tasks.sort()).toEqual([A, PAIR])
  },

  async 'verify-page'() {
    await partition.enqueue([A, PAIR])
    await memoryFull()
    const input = { key: partition.keys.ready[1], section: 'list', cursor: 0, count: 10 } as const
    expect((await partition.run(pageCall(partition.keys, input))).names).toEqual([A, PAIR])
  },

  async 'verify-locate'() {
    await partition.enqueue([A, PAIR])
    await memoryFull()
    const { found } = await partition.run(locateCall(partition.keys, [A, FIRST], 0))
    expect(found.map(({ own, byBundle }) => [own, byBundle])).toEqual([
      [1, 0],
      [0, 1],
    ])
  },

  async tend() {
    await held([A])
    await partition.exchange([['l', A]], undefined, { keepResultsMs: 1 })
    await partition.enqueue([B, C], { delayMs: 1 })
    const dueAt = Number((await redis.zrange(partition.keys.scheduled, '0', '-1', 'WITHSCORES')).at(-1))
    const nowMs = async () => {
      const [seconds, micros] = await redis.time()
      return Number(seconds) * 1_000 + Number(micros) / 1_000
    }
    await expect.poll(nowMs, { interval: 5 }).toBeGreaterThan(dueAt + 2)
    await memoryFull()
    await partition.run(tendCall(partition.keys))
    const { ready, scheduled } = await whole()
    expect([ready[1], scheduled]).toEqual([[B, C], []])
    expect(await redis.exists(partition.keys.results, partition.keys.resultExpiry)).toBe(0)
  },

  async recover() {
    await held([A, PAIR], 0)
    await partition.enqueue([B], { record: '11|["t",1700000000000,null]' })
    await partition.exchange([], { leaseId: 'l2', leaseMs: 0 })
    await memoryFull()
    for (const [leaseId, kind] of [
      ['l', { kind: 'recovered', back: 3, died: 0, left: 0 }],
      ['l2', { kind: 'recovered', back: 0, died: 1, left: 0 }],
    ] as const)
      expect(await partition.run(recoverCall(partition.keys, leaseId))).toEqual(kind)
    const { ready, dead: died, open, errors } = await whole()
    expect(ready[1].sort()).toEqual([A, FIRST, SECOND])
    expect([died, open, errors]).toEqual([[B], [], [B]])
  },

  async void() {
    await held([B])
    await partition.enqueue([A, PAIR])
    await memoryFull()
    expect(await partition.void([A, FIRST, B])).toEqual([A, FIRST, B])
    expect([...(await whole()).tasks.keys()]).toEqual([SECOND])
    const { result } = await partition.exchange([], { leaseId: 'm' })
    expect(result.fetched.map(({ id }) => id)).toEqual([SECOND])
  },
}

/** Not of a partition; test/regressions/01b-oom-no-new-worker.test.ts has it. */
const ELSEWHERE = ['open']

const SCRIPTS = readdirSync(new URL('../../src/scripts', import.meta.url))
  .filter((file) => file.endsWith('.lua'))
  .map((file) => file.slice(0, -'.lua'.length))

it('there is a case for every script', () => {
  expect([...Object.keys(CASES), ...ELSEWHERE].sort()).toEqual([...SCRIPTS].sort())
})

it.each(Object.entries(CASES))('%s', (_, run) => run())

it('exchange completes with results; those that are no larger than 1 KiB are kept', async () => {
  await held([A, B, PAIR])
  await memoryFull()
  const keepResultsMs = 60_000
  const large = await partition.exchange([['l', A]], undefined, { keepResultsMs, result: 'x'.repeat(1_025) })
  const small = await partition.exchange([['l', B, FIRST]], undefined, {
    keepResultsMs,
    result: 'x'.repeat(1_024),
  })
  expect([large.digits, small.digits]).toEqual(['1', '11'])
  expect((await whole()).counters.get('completed')).toBe(3)
  expect((await redis.hkeys(partition.keys.results)).sort()).toEqual([B, FIRST])
  await redis.config('SET', 'maxmemory', '0')
  await partition.exchange([['l', SECOND]], undefined, { keepResultsMs, result: 'x'.repeat(1_025) })
  expect((await redis.zrange(partition.keys.resultExpiry, '0', '-1')).sort()).toEqual([B, FIRST, SECOND])
})

it('exchange hands out tasks of bundles, those that it takes apart and those that are left of one', async () => {
  const OTHER = bundleName('0.pe', 2)
  await partition.enqueue([PAIR, OTHER])
  await partition.void([FIRST])
  await memoryFull()
  const one = await partition.exchange([], { leaseId: 'l', count: 2, least: 2 })
  expect(one.names).toEqual([SECOND, `${OTHER}0`])
  await whole()
  const two = await partition.exchange([['l', ...one.names]], { leaseId: 'm' })
  expect([two.digits, two.names]).toEqual(['11', [`${OTHER}1`]])
  await whole()
})
