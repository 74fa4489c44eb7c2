import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/behaviour/harness.js'
import { type FakeCluster, type FakeNode, lineOf } from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, queueOn, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

/** Has a node send whoever stores there somewhere else. */
function redirect(node: FakeNode, text: string): void {
  node.script = ({ script }) => (script === 'enqueue' ? new FakeError(text) : undefined)
}

/** A master without slots, and its replica. */
async function addShard(cluster: FakeCluster): Promise<FakeNode> {
  const master = await cluster.addNode()
  const replica = await cluster.addNode()
  replica.follows = master
  return master
}

describe('MOVED', () => {
  it('is followed for the call at hand, to a node that is known', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, `MOVED 1 127.0.0.1:${cluster.b.port}`)
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect([...idsAt(cluster.b)]).toEqual([id])
    expect((await queue.stats()).redirects).toBe(1)
  })

  it('to a node that nobody has heard of, too', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const added = await addShard(cluster)
    redirect(cluster.a, `MOVED 1 127.0.0.1:${added.port}`)
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect([...idsAt(added)]).toEqual([id])
  })

  it('does not change who is believed to own the slot: only an epoch does', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, `MOVED 1 127.0.0.1:${cluster.b.port}`)
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    expect(batchesAt(cluster.a).length).toBe(2)
    // Now the cluster says so, with a higher epoch.
    cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
    cluster.a.claim = undefined
    cluster.a.follows = cluster.b
    await eventually(async () => {
      const before = batchesAt(cluster.a).length
      await queue.enqueue('note', 3, { partitionKey: keyFor(0) })
      expect(batchesAt(cluster.a).length).toBe(before)
    })
  })

  it.each(['', '?'])('to the host %j goes to that which was asked', async (host) => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, `MOVED 1 ${host}:${cluster.b.port}`)
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect([...idsAt(cluster.b)]).toEqual([id])
  })

  it('without a host, or round in a circle, ends in a resend and not in a loop', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 400 })
    redirect(cluster.a, `MOVED 1 127.0.0.1:${cluster.b.port}`)
    redirect(cluster.b, `MOVED 1 127.0.0.1:${cluster.a.port}`)
    await expect(queue.enqueue('note', 1, { partitionKey: keyFor(0) })).rejects.toThrow('MOVED')
    const calls = batchesAt(cluster.a).length + batchesAt(cluster.b).length
    expect(calls).toBeLessThan(60)
    // The host that was asked is meant.
    redirect(cluster.a, `MOVED 1 :${cluster.b.port}`)
    await expect(queue.enqueue('note', 1, { partitionKey: keyFor(0) })).rejects.toThrow('MOVED')
  })
})

describe('a task without a key', () => {
  it.each(['MOVED', 'ASK'])('follows %s as one with a key does, and leaves no copy behind', async (word) => {
    const cluster = await fakeCluster()
    const added = await addShard(cluster)
    const queue = await queueOn(cluster)
    redirect(cluster.a, `${word} 1 127.0.0.1:${added.port}`)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    expect(idsAt(added).size).toBeGreaterThan(0)
    expect([...idsAt(added), ...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    expect(added.calls('enqueue').every(({ asking }) => asking === (word === 'ASK'))).toBe(true)
    expect([cluster.a, cluster.b, added].flatMap(voidedAt)).toEqual([])
  })

  it.each([
    ['without a host', (): string => 'MOVED 1 :1'],
    ['to itself', (node: FakeNode): string => `MOVED 1 127.0.0.1:${node.port}`],
    ['to a host that does not exist', (): string => 'MOVED 1 nowhere.invalid:7000'],
    ['by ASK to itself', (node: FakeNode): string => `ASK 1 127.0.0.1:${node.port}`],
  ])('that is sent %s goes to another shard', async (_, text) => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, text(cluster.a))
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    expect(batchesAt(cluster.a).length).toBeGreaterThan(0)
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    expect(voidedAt(cluster.a)).toEqual([])
  })
})

describe('ASK', () => {
  it('sends ASKING and the same call to the other node, for this once', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, `ASK 1 127.0.0.1:${cluster.b.port}`)
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const [asked] = cluster.b.calls('enqueue')
    expect(asked?.asking).toBe(true)
    expect(asked?.args.join('\n')).toContain(id)
    expect(asked?.args).toEqual(cluster.a.calls('enqueue')[0]?.args)
    // The slot still belongs to the first one.
    cluster.a.script = () => undefined
    const calls = batchesAt(cluster.b).length
    await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    expect(batchesAt(cluster.b).length).toBe(calls)
  })

  it('to a node that has not got all keys yet (TRYAGAIN) is asked again', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    redirect(cluster.a, `ASK 1 127.0.0.1:${cluster.b.port}`)
    let tries = 0
    cluster.b.script = ({ script }) =>
      script === 'enqueue' && ++tries < 3
        ? new FakeError('TRYAGAIN Multiple keys request during rehashing of slot')
        : undefined
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect(new Set(batchesAt(cluster.b).map(({ number }) => number)).size).toBe(1)
    expect(tries).toBe(3)
  })
})

describe('views that differ', () => {
  it('a master with an older epoch is not believed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    // A comes back from a pause, and still claims what B has been given meanwhile.
    cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
    const stale = [
      lineOf(cluster.a, true, { from: 0, to: 8_191, epoch: 1 }),
      lineOf(cluster.b, false, { from: 8_192, to: 16_383, epoch: 2 }),
      ...cluster.nodes.slice(2).map((replica) => lineOf(replica, false)),
    ]
    cluster.views.set(cluster.a, stale.join(''))
    await eventually(async () => {
      const before = batchesAt(cluster.a).length
      await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
      expect(batchesAt(cluster.a).length).toBe(before)
    })
    const before = batchesAt(cluster.a).length
    // Over several looks, at either of them.
    const looksAt = (node: FakeNode) => node.received.filter(({ words }) => words[0] === 'CLUSTER').length
    const looked = [looksAt(cluster.a), looksAt(cluster.b)] as const
    await eventually(() => {
      expect(looksAt(cluster.a)).toBeGreaterThan(looked[0] + 1)
      expect(looksAt(cluster.b)).toBeGreaterThan(looked[1] + 1)
    }, 10_000)
    await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    expect(batchesAt(cluster.a).length).toBe(before)
  })
})
