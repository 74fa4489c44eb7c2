import { describe, expect, it } from 'vitest'
import { NotReplicatedError, QueueFullError, QueueUnavailableError } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { Answer, FakeNode, Received } from './fake-cluster.js'
import { batchesAt, fakeCluster, idsAt, keyFor, queueOn, voidedAt } from './harness.js'
import { FakeError } from './resp.js'

const OOM = "OOM command not allowed when used memory > 'maxmemory'."
const CLUSTERDOWN = 'CLUSTERDOWN The cluster is down'

/** Answers calls that store tasks, one answer after the other; the last one stays. */
function answerEnqueues(node: FakeNode, ...answers: ((call: Received) => Answer | undefined)[]): void {
  let next = 0
  node.script = (call) => {
    if (call.script !== 'enqueue' || call.args[1] === '0') return undefined
    return answers[Math.min(next++, answers.length - 1)]?.(call)
  }
}

const refuse = (text: string) => () => new FakeError(text)
const carryOutAndHangUp =
  (node: FakeNode) =>
  (call: Received): Answer => {
    node.carryOut(call)
    return 'hang up'
  }

describe('what the caller is told when nothing can be stored', () => {
  it('OOM everywhere: QueueFullError, once enqueueTimeoutMs is over and not before', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 500 })
    for (const node of [cluster.a, cluster.b]) answerEnqueues(node, refuse(OOM))
    const startedMs = performance.now()
    const [loose, keyed] = await Promise.allSettled([
      queue.enqueue('note', 1),
      queue.enqueue('note', 2, { partitionKey: keyFor(0) }),
    ])
    expect(performance.now() - startedMs).toBeGreaterThan(490)
    expect(loose).toMatchObject({ status: 'rejected', reason: expect.any(QueueFullError) })
    expect(keyed).toMatchObject({ status: 'rejected', reason: expect.any(QueueFullError) })
  })

  it('a shard that is out of reach: QueueUnavailableError, whatever another one refused long before', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 500 })
    const states: string[] = []
    queue.on('shard', ({ node, state }) => states.push(`${node.split(':')[1]} ${state}`))
    // B was short of memory once, and took the task when it was asked again.
    answerEnqueues(cluster.b, refuse(OOM), () => undefined)
    await queue.enqueue('note', 1, { partitionKey: keyFor(1) })
    await cluster.a.stop()
    await eventually(() => expect(states).toContain(`${cluster.a.port} down`))
    const refusal = queue.enqueue('note', 2, { partitionKey: keyFor(0) })
    await expect(refusal).rejects.toBeInstanceOf(QueueUnavailableError)
  })
})

describe('what the caller is told when something may be stored', () => {
  it.each([
    { name: 'a refusal', after: refuse(CLUSTERDOWN) },
    { name: 'no memory', after: refuse(OOM) },
    { name: 'silence', after: (): Answer => 'silence' },
  ])('with a key, carried out without a reply and then $name: NotReplicatedError', async ({ after }) => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 600 })
    answerEnqueues(cluster.a, carryOutAndHangUp(cluster.a), after)
    const refusal = queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    await expect(refusal).rejects.toBeInstanceOf(NotReplicatedError)
    const [id] = idsAt(cluster.a)
    await expect(refusal).rejects.toMatchObject({ taskId: id })
  })

  it('without a key, no reply anywhere: NotReplicatedError, and one of the copies is kept', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 600 })
    for (const node of [cluster.a, cluster.b]) answerEnqueues(node, carryOutAndHangUp(node))
    await expect(queue.enqueue('note', 1)).rejects.toBeInstanceOf(NotReplicatedError)
    expect([idsAt(cluster.a).size, idsAt(cluster.b).size]).toEqual([1, 1])
    await eventually(() => expect([voidedAt(cluster.a), voidedAt(cluster.b)].flat().length).toBe(1))
  })

  it('without a key, no reply from one shard and an unknown error from the other: not that nothing is stored', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster)
    answerEnqueues(cluster.a, carryOutAndHangUp(cluster.a))
    answerEnqueues(cluster.b, refuse('ERR something else'))
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const copies = [...idsAt(cluster.a)]
    expect(copies.length).toBeGreaterThan(0)
    const errors = outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason : undefined))
    // B may have stored a part before the error, too.
    expect(errors.every((error) => error instanceof NotReplicatedError)).toBe(true)
    const told = errors.map(({ taskId }) => taskId)
    // Either is honest: the caller knows that there may be a copy, or there will be none.
    const known = () => new Set([...told, ...voidedAt(cluster.a)])
    await eventually(() => expect(copies.filter((id) => !known().has(id))).toEqual([]), 1_000)
  })
})

describe('a task that was stored and taken back, and that nobody else takes', () => {
  it('may have been run meanwhile: the caller is not told that nothing was stored', async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { enqueueTimeoutMs: 500 })
    for (const node of [cluster.a, cluster.b])
      node.script = (call) => {
        const { words, script, args } = call
        if (words[0] === 'WAIT') return 0
        // From the second call on, none is taken any more.
        const stored = [cluster.a, cluster.b].flatMap((each) => each.calls('enqueue'))
        return script === 'enqueue' && args[1] !== '0' && stored[0] !== call
          ? new FakeError(CLUSTERDOWN)
          : undefined
      }
    const refusal = queue.enqueue('note', 1)
    await expect(refusal).rejects.toBeInstanceOf(NotReplicatedError)
    await expect(refusal).rejects.toThrow('taken back')
    const [id] = [...voidedAt(cluster.a), ...voidedAt(cluster.b)]
    await expect(refusal).rejects.toMatchObject({ taskId: id })
  })
})

describe('a refusal after a reply that never came', () => {
  it("says nothing of the first try: with onUncertain: 'wait' the same batch stays", async () => {
    const cluster = await fakeCluster()
    const queue = await queueOn(cluster, { onUncertain: 'wait' })
    answerEnqueues(cluster.a, carryOutAndHangUp(cluster.a), refuse(CLUSTERDOWN), () => undefined)
    await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    const [first, second, third] = batchesAt(cluster.a).filter(({ ids }) => ids.length > 0)
    expect(first?.ids.length).toBeGreaterThan(0)
    expect([second, third]).toEqual([first, first])
    for (const id of first?.ids ?? []) expect(idsAt(cluster.b).has(id)).toBe(false)
    expect(voidedAt(cluster.a)).toEqual([])
  })
})
