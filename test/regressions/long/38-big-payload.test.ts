import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'

it('a task of 48 MB is acknowledged, and small tasks go on meanwhile', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '15000' } })
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const limits = { maxPayloadBytes: 256 * 2 ** 20, maxBufferedBytes: 2 ** 30 }
  const queue = new TaskQueue<{ small: number; big: string }>('big', { connection, ...limits })
  await queue.connect()
  onTestFinished(() => queue.disconnect())
  let running = true
  let small = 0
  const callers = Array.from({ length: 5 }, async () => {
    while (running) {
      await queue.enqueue('small', 1)
      small++
      await sleep(2)
    }
  })
  await sleep(500)
  await queue.enqueue('big', 'x'.repeat(48 * 2 ** 20))
  const before = small
  await sleep(500)
  expect(small).toBeGreaterThan(before)
  running = false
  await Promise.all(callers)
  const { ready } = await queue.depth()
  expect(ready.medium).toBe(small + 1)
})
