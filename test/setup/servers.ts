import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
  const folder = await ownTemporaryFolder()
  const started: (() => Promise<unknown>)[] = []
  const stopAll = async () => {
    await Promise.allSettled(started.map((stop) => stop()))
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const cluster = await startCluster({
      ports: await freePorts(6),
      dataDir: join(folder, 'shared-cluster'),
      settings: { 'cluster-node-timeout': '2000' },
    })
    started.push(() => cluster.stop({ remove: true }))
    const single = await startSingle()
    started.push(() => single.stop())
    project.provide('cluster', { nodes: cluster.seeds.map(({ host, port }) => ({ host, port })) })
    project.provide('single', { url: single.url })
    return stopAll
  } catch (error) {
    await stopAll()
    throw error
  }
}

/** Gives this run, and every process that it starts, a temporary folder of its own, with a guardian over it. */
async function ownTemporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-test-'))
  for (const name of ['TMPDIR', 'TEMP', 'TMP']) process.env[name] = folder
  const guardian = spawn(
    process.execPath,
    [fileURLToPath(new URL('guardian.mjs', import.meta.url)), folder],
    {
      detached: true, // so that Ctrl-C on the terminal does not reach it
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  )
  guardian.unref()
  // A socket, whatever its type says: the open pipe must not keep this process alive.
  ;(guardian.stdin as unknown as { unref(): void }).unref()
  return folder
}
