import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { LeaseLostError, NotConnectedError } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { FakeCluster, FakeNode, Received } from './fake-cluster.js'
import { acknowledgedIn, Giver, record } from './giver.js'
import { fakeCluster, keyFor, queueOn } from './harness.js'
import { FakeError } from './resp.js'

async function deliveryFrom(
  cluster: FakeCluster,
  interfere?: (call: Received) => ReturnType<FakeNode['script']>,
) {
  const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], interfere)
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 2_000 })
  if (!delivery) throw new Error('nothing was delivered')
  return { giver, queue, delivery }
}

/** The first call that acknowledges something. */
function onceAcknowledging(answer: (call: Received) => ReturnType<FakeNode['script']>) {
  let done = false
  return (call: Received) => {
    if (done || call.script !== 'exchange' || acknowledgedIn(call).length === 0) return undefined
    done = true
    return answer(call)
  }
}

describe('completing', () => {
  it.each([
    'TRYAGAIN Multiple keys request during rehashing of slot',
    'CLUSTERDOWN The cluster is down',
    "READONLY You can't write against a read only replica.",
    'LOADING Redis is loading the dataset in memory',
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
    "OOM command not allowed when used memory > 'maxmemory'.",
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.',
  ])('is tried again after %s', async (text) => {
    const cluster = await fakeCluster()
    const refused = onceAcknowledging(() => new FakeError(text))
    const { giver, delivery } = await deliveryFrom(cluster, refused)
    await delivery.complete()
    expect(giver.held.size).toBe(0)
  })

  it.each(['MOVED', 'ASK'])('follows %s', async (word) => {
    const cluster = await fakeCluster()
    const { delivery } = await deliveryFrom(
      cluster,
      onceAcknowledging(() => new FakeError(`${word} 1 127.0.0.1:${cluster.b.port}`)),
    )
    const there = new Giver(cluster.b, [])
    there.held.add('0.x')
    await delivery.complete()
    expect(there.held.size).toBe(0)
    expect(cluster.b.calls('exchange')[0]?.asking).toBe(word === 'ASK')
  })

  it('that was carried out although its reply was lost is a success the second time', async () => {
    const cluster = await fakeCluster()
    let carryOut: (call: Received) => void = () => undefined
    const { giver, delivery } = await deliveryFrom(
      cluster,
      onceAcknowledging((call) => {
        carryOut(call)
        return 'hang up'
      }),
    )
    carryOut = (call) => giver.exchange(call)
    await delivery.complete()
    expect(giver.held.size).toBe(0)
  })

  it('of a task that somebody else has completed meanwhile is refused', async () => {
    const cluster = await fakeCluster()
    const { giver, delivery } = await deliveryFrom(cluster)
    giver.held.clear()
    await expect(delivery.complete()).rejects.toBeInstanceOf(LeaseLostError)
  })

  it('waits for the replica that the cluster counts on', async () => {
    const cluster = await fakeCluster()
    let confirming = 0
    const { giver, delivery } = await deliveryFrom(cluster, ({ words }) =>
      words[0] === 'WAIT' ? confirming : undefined,
    )
    let done = false
    const completing = delivery.complete().then(() => {
      done = true
    })
    await eventually(() => expect(cluster.a.calls('touch').length).toBeGreaterThan(1))
    expect([giver.held.size, done]).toEqual([0, false])
    confirming = 1
    await completing
  })

  it('does not wait where the cluster has no replica', async () => {
    const cluster = await fakeCluster()
    for (const replica of cluster.nodes.slice(2)) await replica.stop()
    cluster.nodes.length = 2
    const { delivery } = await deliveryFrom(cluster, ({ words }) => (words[0] === 'WAIT' ? 0 : undefined))
    await delivery.complete()
  })

  it('is done again at the new master when the old one goes before its replica has confirmed', async () => {
    const cluster = await fakeCluster()
    const { delivery } = await deliveryFrom(cluster, ({ words }) =>
      words[0] === 'WAIT' ? 'hang up' : undefined,
    )
    const promoted = new Giver(cluster.b, [])
    promoted.held.add('0.x')
    const completing = delivery.complete()
    await eventually(() => expect(cluster.a.calls('touch').length).toBeGreaterThan(0))
    cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
    cluster.a.claim = undefined
    cluster.a.follows = cluster.b
    await completing
    expect(promoted.held.size).toBe(0)
  })
})

describe('handing out', () => {
  it('a task with a key waits until a replica knows, and goes back untouched until then', async () => {
    const cluster = await fakeCluster()
    let confirming = 0
    const giver = new Giver(cluster.a, [{ id: '0.x', record: record(keyFor(0)) }], ({ words }) =>
      words[0] === 'WAIT' ? confirming : undefined,
    )
    const queue = await queueOn(cluster)
    expect(await queue.dequeue({ blockMs: 300 })).toEqual([])
    const [release] = cluster.a.calls('release')
    expect(release?.args).toContain('0.x')
    confirming = 1
    const [delivery] = await queue.dequeue({ blockMs: 2_000 })
    expect(delivery?.id).toBe('0.x')
    expect(giver.held.has('0.x')).toBe(true)
  })

  it('tasks without a key do not wait for one that has a key, and keep their lease when it goes back', async () => {
    const cluster = await fakeCluster()
    const tasks = [
      { id: '0.x', record: record(keyFor(0)) },
      { id: '0.y', record: record() },
    ]
    let refused = false
    const giver = new Giver(cluster.a, tasks, ({ words }) => {
      if (words[0] !== 'WAIT') return undefined
      return sleep(120).then(() => {
        refused = true
        return 0
      })
    })
    const queue = await queueOn(cluster)
    const ids = (await queue.dequeue({ count: 2, blockMs: 2_000 })).map(({ id }) => id)
    expect(ids).toEqual(['0.y'])
    expect(refused).toBe(false)
    await eventually(() => expect(cluster.a.calls('release')).toHaveLength(1))
    expect(cluster.a.calls('release')[0]?.args.slice(2)).toEqual(['0.x'])
    expect(giver.held.has('0.y')).toBe(true)
  })

  it('one that came with others and has a key is handed out when a replica knows', async () => {
    const cluster = await fakeCluster()
    const tasks = [
      { id: '0.x', record: record(keyFor(0)) },
      { id: '0.y', record: record() },
    ]
    let confirmed = false
    new Giver(cluster.a, tasks, ({ words }) => {
      if (words[0] !== 'WAIT') return undefined
      return sleep(120).then(() => {
        confirmed = true
        return 1
      })
    })
    const queue = await queueOn(cluster)
    const ids = async () => (await queue.dequeue({ count: 2, blockMs: 2_000 })).map(({ id }) => id)
    expect(await ids()).toEqual(['0.y'])
    expect(confirmed).toBe(false)
    expect(await ids()).toEqual(['0.x'])
    expect(confirmed).toBe(true)
    expect(cluster.a.calls('release')).toEqual([])
  })

  it('goes on with the other shards while one is silent', async () => {
    const cluster = await fakeCluster()
    new Giver(
      cluster.b,
      [1, 2, 3].map((i) => ({ id: `1.${i}`, record: record() })),
    )
    const queue = await queueOn(cluster)
    cluster.a.frozen = true
    const seen: string[] = []
    while (seen.length < 3)
      seen.push(...(await queue.dequeue({ count: 3, blockMs: 2_000 })).map(({ id }) => id))
    expect(seen.sort()).toEqual(['1.1', '1.2', '1.3'])
  })

  it('does not wait for a shard that is slow, and gives what it sends to whoever takes next', async () => {
    const cluster = await fakeCluster()
    new Giver(cluster.b, [{ id: '1.x', record: record() }])
    const slow = new Giver(cluster.a, [{ id: '0.x', record: record() }])
    const queue = await queueOn(cluster)
    // Until then both are looked at, and known to have something.
    await eventually(() =>
      expect(cluster.nodes.some((node) => node.received.some(({ words }) => words[0] === 'HGET'))).toBe(true),
    )
    const { script } = cluster.a
    cluster.a.script = (call) =>
      call.script === 'exchange' && Number(call.args[2]) > 0
        ? sleep(120).then(() => slow.exchange(call))
        : script(call)
    const ids = async () => (await queue.dequeue({ count: 2, blockMs: 2_000 })).map(({ id }) => id)
    expect(await ids()).toEqual(['1.x'])
    expect(await ids()).toEqual(['0.x'])
    expect(cluster.a.calls('release')).toEqual([])
  })

  it('gives back what a slow shard sends when nobody takes it any more', async () => {
    const cluster = await fakeCluster()
    new Giver(cluster.b, [{ id: '1.x', record: record() }])
    const slow = new Giver(cluster.a, [{ id: '0.x', record: record() }])
    const queue = await queueOn(cluster)
    const { script } = cluster.a
    cluster.a.script = (call) =>
      call.script === 'exchange' && Number(call.args[2]) > 0
        ? sleep(120).then(() => slow.exchange(call))
        : script(call)
    expect((await queue.dequeue({ count: 2, blockMs: 2_000 })).map(({ id }) => id)).toEqual(['1.x'])
    await eventually(() => expect(cluster.a.calls('release')[0]?.args).toContain('0.x'))
  })
})

describe('a lease that is made shorter', () => {
  it('is looked at by who made it so when it has run out, though no wake comes', async () => {
    const cluster = await fakeCluster()
    const { delivery } = await deliveryFrom(cluster, ({ script }) =>
      script === 'extend' ? 'done' : undefined,
    )
    // What the beginning asks for is over.
    await sleep(300)
    const before = cluster.a.calls('tend').length
    await delivery.extend(600)
    await sleep(400)
    expect(cluster.a.calls('tend').length).toBe(before)
    await eventually(() => expect(cluster.a.calls('tend').length).toBeGreaterThan(before), 1_000)
    delivery.complete().catch(() => undefined)
  })
})

describe('a machine was suspended while a fetch was under way', () => {
  it('so its tasks may be with others by now: they are not handed out, and go back', async () => {
    const cluster = await fakeCluster()
    let stoodStill = false
    const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
      if (stoodStill || call.script !== 'exchange' || Number(call.args[2]) === 0) return undefined
      stoodStill = true
      const wallMs = Date.now() + 60_000
      // The monotonic clock stands still meanwhile, and the wall clock goes on.
      vi.spyOn(Date, 'now').mockImplementation(() => wallMs)
      return giver.exchange(call)
    })
    onTestFinished(() => void vi.restoreAllMocks())
    const queue = await queueOn(cluster)
    expect(await queue.dequeue({ blockMs: 300, leaseMs: 5_000 })).toEqual([])
    // Else it would run out, if it was the clock alone that went ahead, and use up an attempt.
    expect(cluster.a.calls('release').flatMap(({ args }) => args.slice(2))).toEqual(['0.x'])
  })
})

describe('disconnecting', () => {
  // Within the time that a take waits for a slow shard, and after it.
  it.each([20, 120])(
    'hands back what a fetch under way brings %i ms later, and gives it to nobody',
    async (ms) => {
      const cluster = await fakeCluster()
      let fetching = false
      const giver = new Giver(cluster.a, [{ id: '0.x', record: record() }], (call) => {
        if (call.script !== 'exchange' || Number(call.args[2]) === 0) return undefined
        fetching = true
        const reply = giver.exchange(call)
        return sleep(ms).then(() => reply)
      })
      const queue = await queueOn(cluster)
      const taking = queue.dequeue({ blockMs: 5_000 })
      await eventually(() => expect(fetching).toBe(true))
      await queue.disconnect()
      expect(await taking).toEqual([])
      expect(cluster.a.calls('release').flatMap(({ args }) => args.slice(2))).toEqual(['0.x'])
    },
  )

  it('ends a completion that gets no answer, and says so', async () => {
    const cluster = await fakeCluster()
    const { queue, delivery } = await deliveryFrom(cluster, ({ script, args }) =>
      script === 'exchange' && args.length > 8 ? 'silence' : undefined,
    )
    const refusal = expect(delivery.complete()).rejects.toBeInstanceOf(NotConnectedError)
    await queue.disconnect()
    await refusal
    await expect(delivery.complete()).rejects.toBeInstanceOf(NotConnectedError)
  })

  it('ends a completion that no replica confirms, and says so', async () => {
    const cluster = await fakeCluster()
    const { queue, delivery } = await deliveryFrom(cluster, ({ words }) =>
      words[0] === 'WAIT' ? 0 : undefined,
    )
    const refusal = expect(delivery.complete()).rejects.toBeInstanceOf(NotConnectedError)
    await eventually(() => expect(cluster.a.calls('touch').length).toBeGreaterThan(0))
    await queue.disconnect()
    await refusal
  })
})
