import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { freePorts, startCluster, startSingle } from '../../src/cluster/index.js'

declare module 'vitest' {
  interface ProvidedContext {
    /** The shared cluster: 3 masters, 3 replicas, cluster-node-timeout 2000, profile `queue`. Never break it. */
    cluster: { nodes: { host: string; port: number }[] }
    /** The shared single server. */
    single: { url: string }
  }
}

/**
 * Starts the servers that all tests share, once, and ends them whatever happens. Tests that kill nodes, flush
 * or fill a server start one of their own (test/helpers/own-cluster.ts).
 */
export default async function servers(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-test-'))
  const started: (() => Promise<unknown>)[] = []
  const stopAll = async () => {
    await Promise.allSettled(started.map((stop) => stop()))
    await rm(dir, { recursive: true, force: true })
  }
  const interrupt = new AbortController()
  // While the servers are starting, Ctrl-C must not leave them behind; later vitest itself calls the teardown.
  const onSignal = () => interrupt.abort()
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal)
  try {
    const cluster = await startCluster({
      ports: await freePorts(6),
      dataDir: join(dir, 'cluster'),
      settings: { 'cluster-node-timeout': '2000' },
      signal: interrupt.signal,
    })
    started.push(() => cluster.stop({ remove: true }))
    const single = await startSingle({ signal: interrupt.signal })
    started.push(() => single.stop())
    project.provide('cluster', { nodes: cluster.seeds.map(({ host, port }) => ({ host, port })) })
    project.provide('single', { url: single.url })
    return stopAll
  } catch (error) {
    await stopAll()
    throw error
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal)
  }
}
