import { describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import type { Delivery } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { FakeNode, Received } from './fake-cluster.js'
import { Giver, record } from './giver.js'
import { fakeCluster, keyFor, queueOn, workerOn } from './harness.js'
import { FakeError } from './resp.js'

/** What a call of reassert.lua names: id, attempts, lease, other leases. */
function assertedIn({ args }: Received): { id: string; lease: string; others: string[] }[] {
  const count = Number(args[1])
  const leaseAt = (place: string) => args[2 * Number(place)] ?? ''
  const tasks = []
  for (let at = 2 + 2 * count; at < args.length; at += 4) {
    const [id = '', , place = '', others = ''] = args.slice(at, at + 4)
    tasks.push({ id, lease: leaseAt(place), others: others === '' ? [] : others.split(',').map(leaseAt) })
  }
  return tasks
}

const assertionsAt = (node: FakeNode) => node.calls('reassert').flatMap(assertedIn)

const keyed = (id: string) => ({ id, record: record(keyFor(0)) })

/** Breaks all connections, and waits until the node is asked again. A restart looks no different to a client. */
async function breakOff(node: FakeNode): Promise<void> {
  node.hangUp()
  node.received.length = 0
  await eventually(() => expect(node.calls('admit').length + node.calls('tend').length).toBeGreaterThan(0))
}

describe('a task that nobody works on any more is not asserted', () => {
  it('when it was handed back, and that is not confirmed yet', async () => {
    const cluster = await fakeCluster()
    let released = false
    new Giver(cluster.a, [keyed('0.x')], ({ script, words }) => {
      if (script === 'release') {
        released = true
        return [1]
      }
      if (script === 'exchange' && released) return ['', [], [], [], ['', 0, -1, -1]]
      if (released && script === 'renew') return [0]
      return released && words[0] === 'WAIT' ? 0 : undefined
    })
    const note = async (task: Delivery) => {
      task.release().catch(() => undefined)
      await sleep(1_500)
    }
    await workerOn(cluster, { note }, { leaseMs: 600 })
    await eventually(() => expect(cluster.a.calls('renew').length).toBeGreaterThan(0))
    await sleep(300)
    expect(released).toBe(true)
    expect(assertionsAt(cluster.a)).toEqual([])
    await breakOff(cluster.a)
    await sleep(100)
    expect(assertionsAt(cluster.a)).toEqual([])
  })

  it('when it came too late for the take that asked, and went back', async () => {
    const cluster = await fakeCluster()
    new Giver(cluster.b, [{ id: '1.x', record: record() }])
    let late = true
    const slow = new Giver(cluster.a, [keyed('0.x')], (call) =>
      late && call.script === 'exchange' && Number(call.args[2]) > 0
        ? sleep(120).then(() => slow.exchange(call))
        : undefined,
    )
    const queue = await queueOn(cluster)
    expect((await queue.dequeue({ count: 2, blockMs: 2_000 })).map(({ id }) => id)).toEqual(['1.x'])
    await eventually(() => expect(cluster.a.calls('release')[0]?.args).toContain('0.x'))
    late = false
    await breakOff(cluster.a)
    await sleep(100)
    expect(assertionsAt(cluster.a)).toEqual([])
    // A master that was restarted may have it in our lease still, whoever has it now.
    expect(cluster.a.calls('release')[0]?.args).toContain('0.x')
  })

  it('when its worker was told that it is lost', async () => {
    const cluster = await fakeCluster()
    let lost = false
    new Giver(cluster.a, [keyed('0.x')], ({ script }) => {
      if (script === 'renew') return [0]
      return script === 'reassert' ? [0] : undefined
    })
    const worker = await workerOn(cluster, { note: () => sleep(1_500) }, { leaseMs: 600 })
    worker.on('error', (error) => {
      if (error.name === 'LeaseLostError') lost = true
    })
    await eventually(() => expect(lost).toBe(true), 2_000)
    await breakOff(cluster.a)
    await sleep(100)
    expect(assertionsAt(cluster.a)).toEqual([])
  })
})

it('what a fetch took whose reply was lost goes back, also if that takes longer than its lease', async () => {
  const cluster = await fakeCluster()
  let lost: string | undefined
  const giver = new Giver(cluster.a, [keyed('0.x')], (call) => {
    if (lost !== undefined || call.script !== 'exchange' || Number(call.args[2]) === 0) return undefined
    lost = call.args[0]
    giver.exchange(call)
    cluster.a.frozen = true
    return 'silence'
  })
  const queue = await queueOn(cluster)
  expect(await queue.dequeue({ blockMs: 0, leaseMs: 500 })).toEqual([])
  expect(lost).toBeDefined()
  await sleep(700)
  cluster.a.frozen = false
  await eventually(() => expect(cluster.a.calls('release').map(({ args }) => args[1])).toContain(lost), 3_000)
})

it.each(['extend', 'checkpoint', 'fail', 'release'] as const)(
  'a task is asserted before its %s is told, once a connection broke',
  async (call) => {
    const cluster = await fakeCluster()
    let asserted = 0
    let early = 0
    new Giver(cluster.a, [keyed('0.x')], ({ script }) => {
      if (script === call && asserted === 0) early++
      if (script !== 'reassert') return undefined
      return sleep(80).then(() => {
        asserted++
        return [1]
      })
    })
    const queue = await queueOn(cluster)
    const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
    if (!delivery) throw new Error('nothing was delivered')
    cluster.a.hangUp()
    const calls = {
      extend: () => delivery.extend(10_000),
      checkpoint: () => delivery.checkpoint('step', 1),
      fail: () => delivery.fail(new Error('x')),
      release: () => delivery.release(),
    }
    await eventually(() => expect(cluster.a.calls('reassert').length).toBeGreaterThan(0))
    await calls[call]()
    expect({ asserted, early }).toEqual({ asserted: 1, early: 0 })
  },
)

it('while it is being extended, a task is looked for under both its leases', async () => {
  const cluster = await fakeCluster()
  let confirming = true
  new Giver(cluster.a, [keyed('0.x')], ({ words }) => (words[0] === 'WAIT' && !confirming ? 0 : undefined))
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
  const lease = delivery?.leases[0]?.id ?? ''
  confirming = false
  const extending = delivery?.extend(20_000)
  await eventually(() => expect(cluster.a.calls('extend')).toHaveLength(1))
  cluster.a.hangUp()
  await eventually(() => expect(assertionsAt(cluster.a)).toHaveLength(1))
  expect(assertionsAt(cluster.a)).toEqual([{ id: '0.x', lease: `${lease}:0.x`, others: [lease] }])
  confirming = true
  await extending
})

it('all that is held is asserted in one call, however many leases it has', async () => {
  const cluster = await fakeCluster()
  const ids = Array.from({ length: 30 }, (_, i) => `0.x${i}`)
  new Giver(cluster.a, ids.map(keyed))
  const queue = await queueOn(cluster)
  for (const _ of ids) expect(await queue.dequeue({ blockMs: 2_000, leaseMs: 30_000 })).toHaveLength(1)
  await breakOff(cluster.a)
  await eventually(() => expect(assertionsAt(cluster.a)).toHaveLength(30))
  expect(cluster.a.calls('reassert')).toHaveLength(1)
  expect(new Set(assertionsAt(cluster.a).map(({ lease }) => lease)).size).toBe(30)
})

it('a task that is not there after a break is asked for as long as it is worked on, and its handler goes on', async () => {
  const cluster = await fakeCluster()
  let there = true
  new Giver(cluster.a, [keyed('0.x')], ({ script, args }) => {
    if (script === 'reassert') return [there ? 1 : 2]
    return script === 'renew' ? args.slice(1).map(() => (there ? 1 : 0)) : undefined
  })
  let ended = false
  let aborted = false
  const worker = await workerOn(
    cluster,
    {
      note: async (_task, { signal }) => {
        signal.addEventListener('abort', () => (aborted = true))
        while (!ended) await sleep(20)
      },
    },
    { leaseMs: 600 },
  )
  await eventually(() => expect(cluster.a.calls('renew').length).toBeGreaterThan(0), 2_000)
  there = false
  await breakOff(cluster.a)
  await sleep(3_700)
  expect(aborted).toBe(false)
  there = true
  cluster.a.received.length = 0
  await eventually(() => expect(assertionsAt(cluster.a)).toHaveLength(1), 2_000)
  ended = true
  await eventually(() => expect(worker.health().metrics.completed).toBe(1), 2_000)
})

const DOWN = () => new FakeError('CLUSTERDOWN The cluster is down')

describe('a master that refuses all calls for a while after a break', () => {
  it.each(['fail', 'release'] as const)('is told of a %s until it takes it', async (call) => {
    const cluster = await fakeCluster()
    let isDown = false
    let told = 0
    new Giver(cluster.a, [keyed('0.x')], ({ script }) => {
      if (isDown && script !== undefined) return DOWN()
      if (script !== call) return undefined
      told++
      return call === 'fail' ? 'done' : [1]
    })
    const queue = await queueOn(cluster)
    const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
    await (call === 'fail' ? delivery?.fail(new Error('x')) : delivery?.release())
    expect(told).toBe(1)
    isDown = true
    cluster.a.hangUp()
    cluster.a.received.length = 0
    await eventually(() => expect(cluster.a.calls(call).length).toBeGreaterThan(1))
    expect(told).toBe(1)
    isDown = false
    await eventually(() => expect(told).toBe(2))
  })

  it('hears again of what was completed, although that takes longer than it is remembered', async () => {
    const cluster = await fakeCluster()
    let isDown = false
    const giver = new Giver(cluster.a, [keyed('0.x')], ({ script }) => {
      if (isDown && script !== undefined) return DOWN()
      return script === 'reassert' ? [1] : undefined
    })
    const queue = await queueOn(cluster)
    const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
    await delivery?.complete()
    isDown = true
    cluster.a.hangUp()
    // It has forgotten the completion.
    giver.held.add('0.x')
    await sleep(3_500)
    expect(giver.held.has('0.x')).toBe(true)
    isDown = false
    await eventually(() => expect(giver.held.has('0.x')).toBe(false))
    expect(assertionsAt(cluster.a).map(({ id }) => id)).toContain('0.x')
  })

  it('does not hold up a dequeue for longer than it wants to wait', async () => {
    const cluster = await fakeCluster()
    let isDown = false
    const tasks = [keyed('0.x'), keyed('0.y')]
    new Giver(cluster.a, tasks, ({ script }) => (isDown && script !== undefined ? DOWN() : undefined))
    const queue = await queueOn(cluster)
    expect(await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })).toHaveLength(1)
    isDown = true
    cluster.a.hangUp()
    await eventually(() => expect(cluster.a.calls('reassert').length).toBeGreaterThan(0))
    const atMs = performance.now()
    expect(await queue.dequeue({ blockMs: 300 })).toEqual([])
    expect(performance.now() - atMs).toBeLessThan(1_500)
    // And hands out again when it takes calls.
    const taking = queue.dequeue({ blockMs: 5_000 })
    isDown = false
    expect((await taking).map(({ id }) => id)).toEqual(['0.y'])
  })
})

it('a break does not make a lease longer that nobody renews', async () => {
  const cluster = await fakeCluster()
  new Giver(cluster.a, [keyed('0.x')], ({ script }) => (script === 'reassert' ? [1] : undefined))
  const queue = await queueOn(cluster)
  await queue.dequeue({ blockMs: 2_000, leaseMs: 2_000 })
  await sleep(700)
  await breakOff(cluster.a)
  await eventually(() => expect(cluster.a.calls('reassert').length).toBeGreaterThan(0))
  const [assertion] = cluster.a.calls('reassert')
  const leftMs = Number(assertion?.args[3])
  expect(leftMs).toBeGreaterThan(0)
  expect(leftMs).toBeLessThanOrEqual(1_300)
  // Nor is it asserted when it is over.
  await sleep(1_500)
  await breakOff(cluster.a)
  await sleep(100)
  expect(cluster.a.calls('reassert')).toEqual([])
})

it('what was handed back in many tries is told again once, and pushes no others out of what is remembered', async () => {
  const cluster = await fakeCluster()
  let tries = 0
  new Giver(cluster.a, [keyed('0.x')], ({ script }) => {
    if (script !== 'release') return undefined
    return ++tries <= 8 ? new FakeError('TRYAGAIN Multiple keys request during rehashing of slot') : [1]
  })
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
  await delivery?.release()
  expect(tries).toBe(9)
  await breakOff(cluster.a)
  await eventually(() => expect(cluster.a.calls('release').length).toBeGreaterThan(0))
  await sleep(200)
  expect(cluster.a.calls('release').length).toBe(1)
})
