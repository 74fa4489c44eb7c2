import { NetnsCluster } from '../../helpers/netns-cluster.js'
import { addressOf, type StormCluster } from './cluster.js'

/** Six nodes on hosts of their own, which can be cut off; see scripts/chaos.mjs. */
export async function netnsStormCluster(nodeTimeoutMs: number): Promise<StormCluster> {
  const cluster = await NetnsCluster.start(nodeTimeoutMs)
  const { network } = cluster
  return {
    seeds: cluster.seeds,
    kill: (node) => cluster.kill(addressOf(node)),
    freeze: async (node) => cluster.freeze(addressOf(node)),
    resume: async (node) => cluster.resume(addressOf(node)),
    restart: (node) => cluster.restart(addressOf(node)),
    whole: (timeoutMs) => cluster.waitUntilReady({ timeoutMs }),
    network: {
      cut: (node) => network.cut(addressOf(node).host),
      mend: (node) => network.mend(addressOf(node).host),
      inside: (node) => network.inside(addressOf(node).host),
    },
    dispose: () => cluster.dispose(),
  }
}
