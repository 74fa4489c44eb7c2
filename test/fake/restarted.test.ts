import { expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { unpack } from '../../src/scripts/strings.js'
import { eventually } from '../helpers/behaviour/harness.js'
import type { FakeNode, Received } from './fake-cluster.js'
import { acknowledgedIn, Giver, record } from './giver.js'
import { fakeCluster, idsAt, keyFor, queueOn } from './harness.js'

const acknowledges = (call: Received) => call.script === 'exchange' && acknowledgedIn(call).length > 0
const fetches = (call: Received) => call.script === 'exchange' && Number(call.args[2]) > 0

/** What the node was sent since its connections broke. A restart looks no different to a client. */
function breakOff(node: FakeNode): void {
  node.hangUp()
  node.received.length = 0
}

it('a task with a key that is held is asserted before its completion is told, once a connection broke', async () => {
  const cluster = await fakeCluster()
  let asserted = 0
  let early = 0
  const giver = new Giver(cluster.a, [{ id: '0.x', record: record(keyFor(0)) }], (call) => {
    if (acknowledges(call) && asserted === 0) early++
    // Long enough for a completion that does not wait to come first.
    if (call.script !== 'reassert') return undefined
    return sleep(60).then(() => {
      asserted++
      return [1]
    })
  })
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
  breakOff(cluster.a)
  await eventually(() => expect(cluster.a.received.length).toBeGreaterThan(0))
  await delivery?.complete()
  expect(giver.held.size).toBe(0)
  const [assertion] = cluster.a.calls('reassert')
  expect(assertion?.args.slice(4)).toEqual(['0.x', '0', '1', ''])
  expect(early).toBe(0)
})

it('after a break nobody takes a task before the server has let consumers in again', async () => {
  const cluster = await fakeCluster()
  let admitted = true
  const tasks = [{ id: '0.x', record: record() }]
  new Giver(cluster.a, tasks, ({ script }) => (script === 'admit' ? [admitted ? 0 : 50, 'a1'] : undefined))
  const queue = await queueOn(cluster)
  expect(await queue.dequeue({ blockMs: 2_000 })).toHaveLength(1)
  admitted = false
  breakOff(cluster.a)
  tasks.push({ id: '0.y', record: record() })
  const taking = queue.dequeue({ blockMs: 5_000 })
  await eventually(() => expect(cluster.a.calls('admit').length).toBeGreaterThan(1))
  expect(cluster.a.received.filter(fetches)).toEqual([])
  admitted = true
  expect((await taking).map(({ id }) => id)).toEqual(['0.y'])
})

it('a server whose clock says nothing of use is waited for once, for 3 s, by the clock of who waits', async () => {
  const cluster = await fakeCluster()
  const LEAST_MS = 3_000
  let life = 'a1'
  // As admit.lua answers where the uptime is negative, and nobody else asks.
  const admit = ([, , heard, sinceMs]: readonly string[]) => {
    if (life === 'a1') return [0, life]
    return [Math.max(0, LEAST_MS - (heard === life ? Number(sinceMs) : 0)), life]
  }
  const tasks = [{ id: '0.x', record: record() }]
  new Giver(cluster.a, tasks, ({ script, args }) => (script === 'admit' ? admit(args) : undefined))
  const queue = await queueOn(cluster)
  expect(await queue.dequeue({ blockMs: 2_000 })).toHaveLength(1)
  life = 'b2'
  const atMs = performance.now()
  breakOff(cluster.a)
  tasks.push({ id: '0.y', record: record() })
  const taking = queue.dequeue({ blockMs: 6_000 })
  // Another break of the same connections is none of the server's.
  await eventually(() => expect(cluster.a.calls('admit').length).toBeGreaterThan(0))
  await sleep(1_500)
  breakOff(cluster.a)
  expect((await taking).map(({ id }) => id)).toEqual(['0.y'])
  const tookMs = performance.now() - atMs
  expect(tookMs).toBeGreaterThan(LEAST_MS)
  expect(tookMs).toBeLessThan(LEAST_MS + 1_200)
  tasks.push({ id: '0.z', record: record() })
  breakOff(cluster.a)
  // What was waited for stays so, in the same life.
  expect(await queue.dequeue({ blockMs: 1_000 })).toHaveLength(1)
})

it('a master whose connections broke gets no task before it has confirmed something', async () => {
  const cluster = await fakeCluster()
  let confirming = true
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' && !confirming ? 0 : undefined)
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 5_000 })
  await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
  confirming = false
  breakOff(cluster.a)
  await eventually(() => expect(cluster.a.calls('touch').length).toBeGreaterThan(0))
  // It may have come back as one that nobody follows.
  const enqueued = queue.enqueue('note', 2, { partitionKey: keyFor(0) })
  await sleep(200)
  expect([...idsAt(cluster.a)]).toEqual([])
  confirming = true
  await enqueued
  expect(idsAt(cluster.a).size).toBe(1)
})

it('who disconnects is told after enqueueTimeoutMs of what could not be stored again, and does not wait longer', async () => {
  const cluster = await fakeCluster()
  let forgot = false
  cluster.a.script = ({ words, script, args }) => {
    if (!forgot) return undefined
    if (words[0] === 'WAIT') return 0
    return script === 'enqueue' ? [Number(args[1]) === 0 ? 'repeat' : 'stored', 0, ''] : undefined
  }
  const queue = await queueOn(cluster)
  const heard: string[] = []
  queue.on('error', (error) => heard.push(error.message))
  const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
  forgot = true
  breakOff(cluster.a)
  await eventually(() => expect(cluster.a.calls('enqueue').length).toBeGreaterThan(0))
  const atMs = performance.now()
  await queue.disconnect()
  const tookMs = performance.now() - atMs
  // Beside the 1 s, a command time-out of the call that is under way then.
  expect(tookMs).toBeGreaterThan(900)
  expect(tookMs).toBeLessThan(2_500)
  expect(heard.filter((message) => message.includes('lost'))).toEqual([
    expect.stringMatching(new RegExp(`task ${id} (is|may be) lost: its master came back without it`)),
  ])
})

it('a task with a key that is stored again late is due a little later: who holds it may take it back before', async () => {
  const cluster = await fakeCluster()
  let confirming = true
  cluster.a.script = ({ words }) => (words[0] === 'WAIT' && !confirming ? 0 : undefined)
  const queue = await queueOn(cluster, { enqueueTimeoutMs: 10_000 })
  const id = await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
  confirming = false
  breakOff(cluster.a)
  cluster.a.script = ({ words, script, args }) => {
    if (words[0] === 'WAIT' && !confirming) return 0
    return script === 'enqueue' ? [args[1] === '0' ? 'repeat' : 'stored', 0, ''] : undefined
  }
  await sleep(2_300)
  confirming = true
  const storing = () => cluster.a.calls('enqueue').filter(({ args }) => args[1] !== '0')
  await eventually(() => expect(storing().length).toBeGreaterThan(0), 3_000)
  const scheduled = storing().map(({ args }) => unpack({ text: args[10] ?? '', count: Number(args[11]) }))
  expect(scheduled[0]?.[0]).toBe(id)
  expect(Number(scheduled[0]?.[2])).toBeGreaterThan(1_000)
})
