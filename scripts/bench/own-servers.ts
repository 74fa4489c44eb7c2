import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Address, freePorts, startCluster, startSingle } from '../../src/cluster/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'

/** Servers of a part, new and empty. */
export interface OwnServers {
  readonly connection: ConnectionOptions
  readonly masters: readonly Address[]
  /** Ends them and removes their data. */
  stop(): Promise<void>
}

/** Of all masters together, so that thirty nodes are content with the memory of six; three get the usual 256 MB each. */
const MASTERS_MB = 768

/**
 * A single server for one master, a cluster with so many replicas of each for more; all with an AOF, everysec. Interrupted, it
 * leaves nothing behind. @throws what `startSingle` and `startCluster` throw
 */
export async function startServers(
  masters: number,
  replicasPerMaster: number,
  signal: AbortSignal,
): Promise<OwnServers> {
  if (masters === 1) {
    const { host, port, url, stop } = await startSingle({ signal })
    return { connection: { mode: 'single', url }, masters: [{ host, port }], stop }
  }
  const folder = await mkdtemp(join(tmpdir(), 'shardq-bench-'))
  const removeFolder = () => rm(folder, { recursive: true, force: true })
  try {
    const cluster = await startCluster({
      ports: await freePorts(masters * (1 + replicasPerMaster)),
      masters,
      replicasPerMaster,
      dataDir: join(folder, 'cluster'),
      settings: { maxmemory: `${Math.floor(MASTERS_MB / masters)}mb` },
      signal,
    })
    return {
      connection: { mode: 'cluster', nodes: cluster.seeds },
      masters: cluster.nodes.filter(({ role }) => role === 'master'),
      async stop() {
        await cluster.stop({ remove: true })
        await removeFolder()
      },
    }
  } catch (error) {
    await removeFolder()
    throw error
  }
}
