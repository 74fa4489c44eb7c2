import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePorts, type LocalCluster, startCluster, type UpOptions } from '../../src/cluster/index.js'

/**
 * A cluster for one test alone, to kill and freeze nodes of; ended and removed when the test finishes. It takes
 * about 2 s to start. Default: 3 masters with a replica each, cluster-node-timeout 1000, profile `queue`.
 */
export async function ownCluster(options: UpOptions = {}): Promise<LocalCluster> {
  const { cluster, dispose } = await openCluster(options)
  onTestFinished(dispose)
  return cluster
}

/** As `ownCluster`, for use in `beforeAll`: the caller disposes of it in `afterAll`. */
export async function openCluster(
  options: UpOptions = {},
): Promise<{ cluster: LocalCluster; dispose: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-own-'))
  const count = (options.masters ?? 3) * (1 + (options.replicasPerMaster ?? 1))
  try {
    const cluster = await startCluster({
      ports: await freePorts(count),
      dataDir: join(dir, 'cluster'),
      ...options,
      settings: { 'cluster-node-timeout': '1000', ...options.settings },
    })
    const dispose = async () => {
      await cluster.stop({ remove: true })
      await rm(dir, { recursive: true, force: true })
    }
    return { cluster, dispose }
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}
