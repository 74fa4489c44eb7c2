import { expect, it } from 'vitest'
import { QueueUnavailableError } from '../../../src/index.js'
import { Giver, record } from '../../fake/giver.js'
import { fakeCluster, keyFor, queueOn } from '../../fake/harness.js'
import { FakeError } from '../../fake/resp.js'

/** What is held was asserted again and again, and no call about it ended before that had gone through. */
it('a completion is tried for a minute and then refused, also while its master cannot be told what is held', async () => {
  const cluster = await fakeCluster()
  let isDown = false
  new Giver(cluster.a, [{ id: '0.x', record: record(keyFor(0)) }], ({ script }) =>
    isDown && script !== undefined ? new FakeError('CLUSTERDOWN The cluster is down') : undefined,
  )
  const queue = await queueOn(cluster)
  const [delivery] = await queue.dequeue({ blockMs: 2_000, leaseMs: 10_000 })
  isDown = true
  cluster.a.hangUp()
  const atMs = performance.now()
  await expect(delivery?.complete()).rejects.toThrow(QueueUnavailableError)
  const tookMs = performance.now() - atMs
  expect(tookMs).toBeGreaterThan(59_000)
  expect(tookMs).toBeLessThan(65_000)
}, 90_000)
