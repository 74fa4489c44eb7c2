import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { TaskQueue } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** What a producer remembers (docs/protocol.md), and a moment. */
const FORGOTTEN_MS = 4_000

it('masters without an append-only file are warned of; one that comes back empty has the last seconds stored again', async () => {
  const cluster = await ownCluster({
    settings: { appendonly: 'no', save: '', 'cluster-node-timeout': '15000' },
  })
  const queue = new TaskQueue<{ note: number }>('empty', {
    connection: { mode: 'cluster', nodes: cluster.seeds },
  })
  await queue.connect()
  try {
    const { shards } = await queue.health()
    for (const { warnings } of shards)
      expect(warnings).toEqual([expect.stringMatching(/has appendonly no: .*; set appendonly yes/)])
    const old = await queue.enqueueMany(numbered(0, 300))
    await sleep(FORGOTTEN_MS)
    const recent = await queue.enqueueMany(numbered(300, 600))
    const { nodes } = await cluster.status()
    const master = nodes.find(({ role }) => role === 'master')
    await cluster.killNode(master?.port ?? 0)
    await cluster.restartNode(master?.port ?? 0)
    const seen = new Set<number>()
    for (;;) {
      const deliveries = await queue.dequeue({ count: 500, blockMs: 3_000 })
      if (deliveries.length === 0) break
      for (const { data } of deliveries) seen.add(data)
      await Promise.all(deliveries.map((delivery) => delivery.complete()))
    }
    // That is what the warning is about.
    expect([...seen].filter((note) => note < old.length).length).toBeLessThan(old.length)
    expect([...seen].filter((note) => note >= old.length)).toHaveLength(recent.length)
  } finally {
    await queue.disconnect()
  }
})

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ type: 'note' as const, data: from + i }))
