import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LocalCluster } from '../../src/cluster/index.js'
import { type ConnectionOptions, TaskQueue, Worker } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { openCluster } from '../helpers/own-cluster.js'

/**
 * Longest that a producer without keys may stand still: far below the failover (2 s and more), with room for a busy
 * machine. Of a frozen master it can only know after a command time-out of 1 s.
 */
const STALL_MS = 1_000
const STALL_FROZEN_MS = 2_000

describe('a master that is lost while work goes on', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>
  let connection: ConnectionOptions

  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster())
    connection = { mode: 'cluster', nodes: cluster.seeds }
  })

  afterAll(() => dispose())

  async function masterPort(): Promise<number> {
    const { nodes } = await cluster.status()
    const master = nodes.find((node) => node.role === 'master' && node.slots.length > 0)
    if (!master) throw new Error('the cluster has no master')
    return master.port
  }

  /** Producers and a worker on a queue; `act` is called when both are under way. Every acknowledged id is accounted for. */
  async function workThrough(
    name: string,
    act: () => Promise<void>,
  ): Promise<{ longestMs: number; errors: Error[] }> {
    const queue = new TaskQueue<{ note: number }>(name, { connection })
    const worker = new Worker<{ note: number }>(
      name,
      { note: () => null },
      { connection, concurrency: 50, leaseMs: 3_000 },
    )
    const acknowledged = new Set<string>()
    const keyed: string[] = []
    const delivered = new Map<string, number>()
    const errors: Error[] = []
    let longestMs = 0
    let going = true
    await queue.connect()
    await worker.start()
    worker.on('completed', ({ task }) => delivered.set(task.id, (delivered.get(task.id) ?? 0) + 1))
    const produce = async () => {
      for (let i = 0; going; i++) {
        const start = performance.now()
        try {
          acknowledged.add(await queue.enqueue('note', i))
        } catch (error) {
          errors.push(error as Error)
        }
        longestMs = Math.max(longestMs, performance.now() - start)
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
    }
    const produceKeyed = async (key: string) => {
      for (let i = 0; going; i++) {
        const id = await queue.enqueue('note', i, { partitionKey: key })
        acknowledged.add(id)
        keyed.push(id)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
    const producing = Promise.all([
      ...Array.from({ length: 10 }, produce),
      ...['a', 'b', 'c', 'd', 'e', 'f'].map(produceKeyed),
    ])
    await eventually(() => expect(delivered.size).toBeGreaterThan(300))
    await act()
    going = false
    await producing
    await eventually(() => expect([...acknowledged].filter((id) => !delivered.has(id))).toEqual([]), 15_000)
    await eventually(async () => {
      const { ready, active, scheduled, dead } = await queue.depth()
      expect([ready.medium, active, scheduled, dead]).toEqual([0, 0, 0, 0])
    }, 15_000)
    const twice = [...delivered.values()].filter((count) => count > 1).length
    const { reroutes, unconfirmed, voided } = await queue.stats()
    console.log(
      `${name}: acknowledged ${acknowledged.size} (${keyed.length} with a key), completed twice ${twice}, longest stall ` +
        `without a key ${longestMs.toFixed(0)} ms, rerouted ${reroutes}, unconfirmed ${unconfirmed}, voided ${voided}`,
    )
    await worker.stop()
    await queue.disconnect()
    return { longestMs, errors }
  }

  /** The promoted replica serves, and what was there before is a linked replica again. */
  async function whole(): Promise<void> {
    await cluster.waitUntilReady({ timeoutMs: 20_000 })
  }

  it('by SIGKILL: producers go round it, nothing acknowledged is lost, and it is drained once promoted', async () => {
    const port = await masterPort()
    const { longestMs, errors } = await workThrough('killed', async () => {
      await cluster.killNode(port)
      await new Promise((resolve) => setTimeout(resolve, 5_000))
      // Tasks with a key wait for a replica that can confirm them: the dead master comes back as one.
      await cluster.restartNode(port)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    })
    expect(errors).toEqual([])
    expect(longestMs).toBeLessThan(STALL_MS)
    await whole()
  }, 60_000)

  it('with 6,000 tasks waiting: all that were acknowledged are on the replica, and are run', async () => {
    const queue = new TaskQueue<{ note: number }>('backlog', { connection })
    await queue.connect()
    const ids = await queue.enqueueMany(Array.from({ length: 6_000 }, (_, i) => ({ type: 'note', data: i })))
    const port = await masterPort()
    await cluster.killNode(port)
    const worker = new Worker<{ note: number }>(
      'backlog',
      { note: () => null },
      { connection, concurrency: 100 },
    )
    const seen = new Set<string>()
    worker.on('completed', ({ task }) => seen.add(task.id))
    await worker.start()
    // The other shards, which have about 4,000 of them, do not wait for the dead one.
    await eventually(() => expect(seen.size).toBeGreaterThanOrEqual(3_000), 2_000)
    await eventually(() => expect(seen.size).toBe(6_000), 15_000)
    expect([...seen].sort()).toEqual(ids.sort())
    await worker.stop()
    await queue.disconnect()
    await cluster.restartNode(port)
    await whole()
  }, 60_000)

  it('by SIGSTOP: a frozen master counts as a dead one, and comes back as a replica', async () => {
    const port = await masterPort()
    const { longestMs, errors } = await workThrough('frozen', async () => {
      await cluster.freezeNode(port)
      await new Promise((resolve) => setTimeout(resolve, 6_000))
      await cluster.resumeNode(port)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    })
    expect(errors).toEqual([])
    expect(longestMs).toBeLessThan(STALL_FROZEN_MS)
    await whole()
  }, 60_000)

  it('with its replica stopped: other shards take the tasks, since nothing here could confirm them', async () => {
    const { nodes } = await cluster.status()
    const replica = nodes.find((node) => node.role === 'replica')
    const { longestMs, errors } = await workThrough('unreplicated', async () => {
      await cluster.freezeNode(replica?.port ?? 0)
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      await cluster.resumeNode(replica?.port ?? 0)
      await new Promise((resolve) => setTimeout(resolve, 1_000))
    })
    expect(errors).toEqual([])
    expect(longestMs).toBeLessThan(STALL_MS)
    await whole()
  }, 60_000)

  it('voids the copies that no replica had confirmed, so that none is delivered twice', async () => {
    const queue = new TaskQueue<{ note: number }>('voided', { connection })
    await queue.connect()
    const { nodes } = await cluster.status()
    const replica = nodes.find((node) => node.role === 'replica')
    await cluster.freezeNode(replica?.port ?? 0)
    const ids: string[] = []
    // One by one, so that every partition has its turn.
    for (let i = 0; i < 60; i++) ids.push(await queue.enqueue('note', i))
    const { unconfirmed } = await queue.stats()
    expect(unconfirmed).toBeGreaterThan(0)
    await eventually(async () => expect((await queue.stats()).voided).toBe(unconfirmed))
    await cluster.resumeNode(replica?.port ?? 0)
    const seen: string[] = []
    while (seen.length < ids.length) {
      const deliveries = await queue.dequeue({ count: 100, blockMs: 2_000 })
      if (deliveries.length === 0) break
      seen.push(...deliveries.map((one) => one.id))
      await Promise.all(deliveries.map((one) => one.complete()))
    }
    expect(await queue.dequeue({ blockMs: 100 })).toEqual([])
    expect(seen.sort()).toEqual(ids.sort())
    await queue.disconnect()
    await whole()
  }, 60_000)
})
