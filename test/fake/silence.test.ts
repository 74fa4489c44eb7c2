import { describe, expect, it } from 'vitest'
import { eventually } from '../helpers/behaviour/harness.js'
import type { Answer, FakeNode, Received } from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, queueOn, voidedAt } from './harness.js'
import { Bytes, type Reply } from './resp.js'

/** What may become of a call that was received and whose reply is never seen. */
const WITHOUT_REPLY: { name: string; answer: (node: FakeNode, call: Received) => Answer }[] = [
  { name: 'no reply in time, and never carried out', answer: () => 'silence' },
  {
    name: 'no reply in time, although carried out',
    answer: (node, call) => {
      node.carryOut(call)
      return 'silence'
    },
  },
  { name: 'the connection ends before it is carried out', answer: () => 'hang up' },
  {
    name: 'the connection ends after it was carried out',
    answer: (node, call) => {
      node.carryOut(call)
      return 'hang up'
    },
  },
  {
    name: 'the connection ends in the middle of the reply',
    answer: (node, call) => {
      node.carryOut(call)
      return new Bytes('*2\r\n$6\r\nsto')
    },
  },
  {
    name: 'what comes is not RESP',
    answer: (node, call) => {
      node.carryOut(call)
      return new Bytes('HTTP/1.1 400 Bad Request\r\n\r\n')
    },
  },
]

/** The first call of the script gets this answer, all others the usual one. */
function once(node: FakeNode, script: string, answer: (call: Received) => Answer): void {
  let done = false
  node.script = (call) => {
    if (done || call.script !== script) return undefined
    done = true
    return answer(call)
  }
}

describe.each(WITHOUT_REPLY)('$name', ({ answer }) => {
  it('a task without a key goes elsewhere, and a copy that may be there is removed', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    once(cluster.a, 'enqueue', (call) => answer(cluster.a, call))
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const uncertain = batchesAt(cluster.a)[0]?.ids ?? []
    expect(uncertain.length).toBeGreaterThan(0)
    expect(ids).toEqual(expect.arrayContaining([...uncertain]))
    expect([...idsAt(cluster.b)]).toEqual(expect.arrayContaining([...uncertain]))
    await eventually(() => expect(voidedAt(cluster.a).sort()).toEqual([...uncertain].sort()))
  })

  it('a task with a key is sent again as the same batch, and a repeat is a success', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    once(cluster.a, 'enqueue', (call) => answer(cluster.a, call))
    const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    const batches = batchesAt(cluster.a)
    expect(batches.length).toBeGreaterThan(1)
    expect(new Set(batches.map(({ producer, number, ids }) => `${producer} ${number} ${ids}`)).size).toBe(1)
    expect(batches[0]?.ids).toEqual([id])
    expect(batchesAt(cluster.b)).toEqual([])
  })

  it("a task without a key stays, with onUncertain: 'wait'", async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { onUncertain: 'wait' })
    once(cluster.a, 'enqueue', (call) => answer(cluster.a, call))
    await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const [first, second] = batchesAt(cluster.a)
    expect(second).toEqual(first)
    expect(voidedAt(cluster.a)).toEqual([])
  })
})

describe('a reply that comes too late', () => {
  it('is never taken for the reply to another call', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    let answerLate: (reply: Reply) => void = () => undefined
    once(
      cluster.a,
      'enqueue',
      () =>
        new Promise((resolve) => {
          answerLate = resolve
        }),
    )
    const first = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await eventually(() => expect(batchesAt(cluster.a).length).toBe(2))
    answerLate(['nonsense', 'that no caller may see'])
    await first
    await queue.enqueue('note', 2, { partitionKey: keyFor(0) })
  })
})

describe('a master that takes connections and never answers', () => {
  it('costs what is under way one time-out, and nothing that comes after', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    cluster.a.frozen = true
    await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const sent = batchesAt(cluster.a).length
    for (let i = 0; i < 20; i++) await queue.enqueue('note', i)
    expect(batchesAt(cluster.a).length).toBe(sent)
  })

  it('is not where a queue begins: another seed is asked', async () => {
    const cluster = await fakeCluster()
    cluster.a.frozen = true
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1)
    expect(idsAt(cluster.b).size).toBe(1)
  })
})
