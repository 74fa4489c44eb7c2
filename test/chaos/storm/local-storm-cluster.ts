import type { LocalCluster } from '../../../src/cluster/index.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { addressOf, type StormCluster } from './cluster.js'

/** Nodes on loopback. */
export async function localStormCluster(nodeTimeoutMs: number, replicas = 1): Promise<StormCluster> {
  const { cluster, dispose } = await openCluster({
    replicasPerMaster: replicas,
    settings: { 'cluster-node-timeout': String(nodeTimeoutMs) },
  })
  return stormClusterOf(cluster, dispose)
}

/** @param dispose what ends it */
export function stormClusterOf(cluster: LocalCluster, dispose: () => Promise<void>): StormCluster {
  const port = (node: string) => addressOf(node).port
  return {
    seeds: cluster.seeds,
    kill: (node) => cluster.killNode(port(node)),
    freeze: (node) => cluster.freezeNode(port(node)),
    resume: (node) => cluster.resumeNode(port(node)),
    restart: (node) => cluster.restartNode(port(node)),
    whole: async (timeoutMs) => {
      await cluster.waitUntilReady({ timeoutMs })
    },
    dispose: async () => {
      await dispose()
      return undefined
    },
  }
}
