import { openCluster } from '../../helpers/own-cluster.js'
import { addressOf, type StormCluster } from './cluster.js'

/** Six nodes on loopback. */
export async function localStormCluster(nodeTimeoutMs: number): Promise<StormCluster> {
  const { cluster, dispose } = await openCluster({
    settings: { 'cluster-node-timeout': String(nodeTimeoutMs) },
  })
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
    dispose,
  }
}
