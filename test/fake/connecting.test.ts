import { describe, expect, it } from 'vitest'
import {
  AuthenticationError,
  QueueUnavailableError,
  ServerTooOldError,
  WrongModeError,
} from '../../src/index.js'
import type { Answer, FakeCluster, Received } from './fake-cluster.js'
import { fakeCluster, idsAt, queueOn } from './harness.js'
import { FakeError } from './resp.js'

/** Every node answers like that. */
function answerAll(cluster: FakeCluster, script: (received: Received) => Answer | undefined): void {
  for (const node of cluster.nodes) node.script = script
}

describe('connecting', () => {
  it.each([
    ['INFO', 'LOADING Redis is loading the dataset in memory'],
    ['HGET', 'CLUSTERDOWN The cluster is down'],
    ['HGET', 'LOADING Redis is loading the dataset in memory'],
    ['open', 'CLUSTERDOWN The cluster is down'],
    ['open', 'TRYAGAIN Multiple keys request during rehashing of slot'],
    ['open', 'LOADING Redis is loading the dataset in memory'],
    ['open', "OOM command not allowed when used memory > 'maxmemory'."],
  ])('tries %s again after %s', async (what, text) => {
    const cluster = await fakeCluster()
    if (what === 'open') cluster.partitions = undefined
    let refusals = 0
    answerAll(cluster, ({ words, script }) =>
      (words[0] === what || script === what) && ++refusals <= 2 ? new FakeError(text) : undefined,
    )
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1)
    expect(refusals).toBeGreaterThan(2)
  })

  it.each([
    ['INFO', 'NOAUTH Authentication required.', AuthenticationError],
    ['INFO', 'NOPERM this user has no permissions', AuthenticationError],
    ['HGET', 'NOPERM this user has no permissions', AuthenticationError],
    ['open', 'NOPERM this user has no permissions', AuthenticationError],
  ])('gives up at once when %s is answered with %s', async (what, text, error) => {
    const cluster = await fakeCluster()
    cluster.partitions = undefined
    answerAll(cluster, ({ words, script }) =>
      words[0] === what || script === what ? new FakeError(text) : undefined,
    )
    const connection = { mode: 'cluster', nodes: cluster.seeds, connectTimeoutMs: 10_000 }
    const startedMs = performance.now()
    await expect(queueOn(cluster, { connection })).rejects.toBeInstanceOf(error)
    expect(performance.now() - startedMs).toBeLessThan(5_000)
  })

  it.each([
    ['redis_version:6.2.14\r\nredis_mode:cluster\r\n', ServerTooOldError],
    ['redis_version:7.0.15\r\nredis_mode:standalone\r\n', WrongModeError],
    ['redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nserver_mode:standalone\r\n', WrongModeError],
  ])('refuses a server that says %j of itself', async (info, error) => {
    const cluster = await fakeCluster()
    answerAll(cluster, ({ words }) => (words[0] === 'INFO' ? info : undefined))
    await expect(queueOn(cluster)).rejects.toBeInstanceOf(error)
  })

  it('takes a Valkey, which calls its mode otherwise', async () => {
    const cluster = await fakeCluster()
    const info = 'redis_version:7.2.4\r\nvalkey_version:8.0.1\r\nserver_mode:cluster\r\n'
    answerAll(cluster, ({ words }) => (words[0] === 'INFO' ? info : undefined))
    const queue = await queueOn(cluster)
    await queue.enqueue('note', 1)
  })

  it.each([
    {
      name: 'nobody answers',
      spoil: (cluster: FakeCluster) => {
        for (const node of cluster.nodes) node.frozen = true
      },
    },
    {
      name: 'nobody serves any slot',
      spoil: (cluster: FakeCluster) => {
        cluster.a.claim = undefined
        cluster.b.claim = undefined
      },
    },
    {
      name: 'the map is garbage',
      spoil: (cluster: FakeCluster) => {
        answerAll(cluster, ({ words }) => (words[0] === 'CLUSTER' ? 'x y\nz' : undefined))
      },
    },
  ])('gives up after connectTimeoutMs when $name, and leaves nothing open', async ({ spoil }) => {
    const cluster = await fakeCluster()
    spoil(cluster)
    const startedMs = performance.now()
    await expect(queueOn(cluster)).rejects.toBeInstanceOf(QueueUnavailableError)
    expect(performance.now() - startedMs).toBeGreaterThan(490)
  })

  it('believes the newest epoch, whoever is asked first', async () => {
    const cluster = await fakeCluster()
    const stale = cluster.nodesAsSeenBy(cluster.a)
    cluster.b.claim = { from: 0, to: 16_383, epoch: 9 }
    cluster.views.set(cluster.a, stale)
    const queue = await queueOn(cluster)
    const ids = await Promise.all(Array.from({ length: 8 }, (_, i) => queue.enqueue('note', i)))
    expect([...idsAt(cluster.b)].sort()).toEqual([...ids].sort())
  })
})
