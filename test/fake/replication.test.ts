import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { NotPermittedError } from '../../src/errors.js'
import { eventually } from '../helpers/behaviour/harness.js'
import {
  type FakeCluster,
  type FakeNode,
  MASTER_OFFSET,
  type Received,
  replicaLine as slave,
} from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, queueOn, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

const isWait = ({ words }: Received) => words[0] === 'WAIT'
const waitsAt = (node: FakeNode) => node.received.filter(isWait)
const asked = (node: FakeNode) => waitsAt(node).map(({ words }) => Number(words[1]))

/** Puts what INFO replication says of the replicas of A into the answers of the cluster. */
function replicasSayOf(cluster: FakeCluster, lines: () => readonly string[]): void {
  const { script } = cluster.a
  cluster.a.script = (received) =>
    received.words[0] === 'INFO' && received.words[1] === 'replication'
      ? ['role:master', ...lines(), `master_repl_offset:${MASTER_OFFSET}`].join('\r\n')
      : script(received)
}

async function secondReplicaOfA(cluster: FakeCluster): Promise<FakeNode> {
  const node = await cluster.addNode()
  node.follows = cluster.a
  return node
}

describe('with two replicas', () => {
  it('both have to confirm: with one alone, a task goes elsewhere and its first copy is removed', async () => {
    const cluster = await fakeCluster()
    await secondReplicaOfA(cluster)
    const queue = await queueOn(cluster)
    cluster.a.script = (received) => (isWait(received) ? 1 : undefined)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const copies = [...idsAt(cluster.a)]
    expect(copies.length).toBeGreaterThan(0)
    expect(asked(cluster.a)[0]).toBe(2)
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
    await eventually(() => expect(voidedAt(cluster.a).sort()).toEqual(copies.sort()))
  })

  it('both have to confirm when the second was heard of while the WAIT was under way', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
    let answer: (count: number) => void = () => {}
    cluster.a.script = (received) =>
      isWait(received) && waitsAt(cluster.a).length === 1
        ? new Promise<number>((resolve) => {
            answer = resolve
          })
        : undefined
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await eventually(() => expect(waitsAt(cluster.a)).toHaveLength(1))
    await secondReplicaOfA(cluster)
    const known = async () => (await queue.health()).shards.flatMap(({ replicas }) => replicas).length
    // The WAIT's own time-out is 1 s here, so the look of every second is not early enough.
    cluster.b.hangUp()
    await eventually(async () => expect(await known()).toBe(3), 900)
    answer(1)
    await enqueued
    // One is not enough any more, and so two were asked.
    expect(asked(cluster.a)[0]).toBe(1)
    expect(Math.max(...asked(cluster.a))).toBe(2)
  })

  it('one that is still receiving its first copy is not waited for, by its master’s word', async () => {
    const cluster = await fakeCluster()
    const second = await secondReplicaOfA(cluster)
    const [, , first] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    let state = 'send_bulk'
    cluster.a.script = (received) => (isWait(received) ? (state === 'online' ? 2 : 1) : undefined)
    replicasSayOf(cluster, () => [
      slave(first, 'online', 9),
      slave(second, state, state === 'online' ? 9 : 0, 1),
    ])
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect(asked(cluster.a).at(-1)).toBe(1)
    state = 'online'
    await eventually(async () => {
      await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
      expect(asked(cluster.a).at(-1)).toBe(2)
    })
  })
})

describe('the only replica is still receiving its first copy', () => {
  it('the shard is short, and the error says why; completions rest on the word of the master', async () => {
    const cluster = await fakeCluster()
    const [, , replica] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    cluster.a.script = (received) => (isWait(received) ? 0 : undefined)
    replicasSayOf(cluster, () => [slave(replica, 'wait_bgsave', 0)])
    const queue = await queueOn(cluster)
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await expect(enqueued).rejects.toThrow(
      `127.0.0.1:${replica.port}, replica of 127.0.0.1:${cluster.a.port}, is still receiving its first copy`,
    )
    const { script } = cluster.a
    cluster.a.script = (received) => (received.script === 'pause' ? 'OK' : script(received))
    cluster.b.script = ({ script: name }) => (name === 'pause' ? 'OK' : undefined)
    await queue.resume()
  })
})

describe('a replica that is silent', () => {
  it('counts, whatever is attached besides', async () => {
    const cluster = await fakeCluster()
    const [, , replica] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    // The replica is late; a tool that is no node of the cluster confirms in its place.
    let late = false
    cluster.a.script = (received) => (isWait(received) ? (late ? 1 : 2) : undefined)
    replicasSayOf(cluster, () => [
      slave(replica, 'online', late ? MASTER_OFFSET - 1 : MASTER_OFFSET),
      slave({ port: 1 }, 'online', MASTER_OFFSET, 1),
    ])
    const queue = await queueOn(cluster)
    await eventually(async () => {
      await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
      expect(asked(cluster.a).at(-1)).toBe(2)
    })
    late = true
    const enqueued = queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    await expect(enqueued).rejects.toThrow('no replica of')
  })

  it('counts, also where it is not attached and answers nothing', async () => {
    const cluster = await fakeCluster()
    const silent = await secondReplicaOfA(cluster)
    const [, , first] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    cluster.a.script = (received) => (isWait(received) ? 1 : undefined)
    replicasSayOf(cluster, () => [slave(first, 'online', 9)])
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 2_500 })
    silent.frozen = true
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    // The one that answers has confirmed it; the other one may still be promoted.
    await expect(enqueued).rejects.toThrow('fewer than 2 replicas')
    expect(new Set(asked(cluster.a))).toEqual(new Set([2]))
  })
})

describe('who confirms in the place of a replica that stands still', () => {
  /** The cluster's own replica of A, with what it has acknowledged, and who else is attached. */
  async function standingStill(others: () => readonly string[]) {
    const cluster = await fakeCluster()
    const [, , replica] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    const own = { offset: MASTER_OFFSET }
    cluster.a.script = (received) => {
      if (!isWait(received)) return undefined
      const have = [slave(replica, 'online', own.offset, 99), ...others()]
      return have.filter((line) => line.includes(`state=online,offset=${MASTER_OFFSET}`)).length
    }
    replicasSayOf(cluster, () => [slave(replica, 'online', own.offset), ...others()])
    return { cluster, own }
  }
  const key = { partitionKey: keyFor(0) }

  it('is a replica that came online after it was left out: it is no confirmation', async () => {
    const states = ['send_bulk', 'online']
    let state = 0
    let second: FakeNode | undefined
    const { cluster, own } = await standingStill(() =>
      second ? [slave(second, states[state] ?? '', state * MASTER_OFFSET, 1)] : [],
    )
    second = await secondReplicaOfA(cluster)
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1, key)
    await queue.enqueue('note', 2, key)
    expect(asked(cluster.a).at(-1)).toBe(1)
    own.offset = 1
    state = 1
    await expect(queue.enqueue('note', 3, key)).rejects.toThrow('fewer than 2 replicas')
  })

  it.each(['online', 'wait_bgsave'])(
    'is a tool that was attached, and %s, when last looked',
    async (state) => {
      let now = state
      const { cluster, own } = await standingStill(() => [
        slave({ port: 1 }, now, now === 'online' ? MASTER_OFFSET : 0, 1),
      ])
      const queue = await queueOn(cluster)
      await queue.enqueue('note', 1, key)
      own.offset = 1
      now = 'online'
      await expect(queue.enqueue('note', 2, key)).rejects.toThrow('no replica of')
    },
  )

  it('is a tool that attached itself more than a second ago, or while the WAIT was under way', async () => {
    let attached = false
    const { cluster, own } = await standingStill(() =>
      attached ? [slave({ port: 1 }, 'online', MASTER_OFFSET, 1)] : [],
    )
    const queue = await queueOn(cluster, { confirmTimeoutMs: 2_000, enqueueTimeoutMs: 4_000 })
    await queue.enqueue('note', 1, key)
    const { script } = cluster.a
    let held = 0
    cluster.a.script = (received) => {
      if (!isWait(received) || held++ > 0) return script(received)
      attached = true
      own.offset = 1
      return sleep(1_100).then(() => 1)
    }
    // The report before it is fresh, so that the number is all that is asked for.
    const before = cluster.a.received.length
    await expect(queue.enqueue('note', 2, key)).rejects.toThrow('no replica of')
    const first = cluster.a.received.slice(before).findIndex(isWait) + before
    expect(cluster.a.received[first - 1]?.script).toBe('enqueue')
  })

  it('is a tool that was attached a moment ago, and comes again', async () => {
    let attached = true
    const { cluster, own } = await standingStill(() =>
      attached ? [slave({ port: 1 }, 'online', MASTER_OFFSET, 1)] : [],
    )
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1, key)
    attached = false
    await queue.enqueue('note', 2, key)
    attached = true
    own.offset = 1
    await expect(queue.enqueue('note', 3, key)).rejects.toThrow('no replica of')
  })

  it('nobody, while it is only late: it is waited for, and the tool makes it fail nothing', async () => {
    const { cluster, own } = await standingStill(() => [slave({ port: 1 }, 'online', MASTER_OFFSET, 1)])
    const queue = await queueOn(cluster, { confirmTimeoutMs: 400 })
    await queue.enqueue('note', 1, key)
    own.offset = 1
    setTimeout(() => {
      own.offset = MASTER_OFFSET
    }, 100)
    await queue.enqueue('note', 2, key)
    expect(batchesAt(cluster.a)).toHaveLength(2)
  })
})

describe('as long as only replicas that count are attached', () => {
  it('one WAIT behind the writes is all; who is attached is asked again after a quarter of a second', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    const asksWho = () => cluster.a.received.filter(({ words }) => words[1] === 'replication').length
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const first = asksWho()
    for (let i = 0; i < 20; i++) await queue.enqueue('note', i, { partitionKey: keyFor(0) })
    expect(asksWho() - first).toBeLessThanOrEqual(2)
    const before = asksWho()
    await sleep(300)
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect(asksWho()).toBe(before + 2)
  })
})

describe('a shard whose replica did not confirm', () => {
  it('is taken for whole when the master says that this replica has it', async () => {
    const cluster = await fakeCluster()
    const [, , replica] = cluster.nodes as [FakeNode, FakeNode, FakeNode]
    let offset = 1
    let waited = 0
    // From the second on, somebody confirms whom nobody has seen: the number alone would do.
    cluster.a.script = (received) => (isWait(received) ? (waited++ === 0 ? 0 : 1) : undefined)
    replicasSayOf(cluster, () => [slave(replica, 'online', offset)])
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
    let done = false
    const enqueued = queue.enqueue('note', 1, { partitionKey: keyFor(0) }).then(() => {
      done = true
    })
    await eventually(() => expect(cluster.a.calls('touch').length).toBeGreaterThan(3))
    expect(done).toBe(false)
    offset = MASTER_OFFSET
    await enqueued
  })
})

describe('a pause that no replica confirms', () => {
  it('is not done, and names the partitions in which it could be undone', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    cluster.a.script = (received) => {
      if (received.script === 'pause') return 'OK'
      return isWait(received) ? 0 : undefined
    }
    cluster.b.script = ({ script }) => (script === 'pause' ? 'OK' : undefined)
    await expect(queue.pause()).rejects.toMatchObject({
      name: 'OperationNotConfirmedError',
      partitions: [0],
    })
  })
})

describe('a user who may not ask whether replicas have it', () => {
  it('is told so at once by pause', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
    for (const node of [cluster.a, cluster.b])
      node.script = (received) => {
        if (received.script === 'pause') return 'OK'
        return isWait(received)
          ? new FakeError("NOPERM User m has no permissions to run the 'wait' command")
          : undefined
      }
    const startedMs = performance.now()
    await expect(queue.pause()).rejects.toBeInstanceOf(NotPermittedError)
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })
})
