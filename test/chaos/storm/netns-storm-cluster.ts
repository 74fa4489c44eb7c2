import { NetnsCluster } from '../../helpers/netns-cluster.js'
import { addressOf, type StormCluster } from './cluster.js'

/** No append-only file is rewritten or removed: of a task that is lost they tell what became of it. */
const WHOLE_HISTORY = { 'auto-aof-rewrite-percentage': '0', 'aof-disable-auto-gc': 'yes' }

/** Nodes on hosts of their own, which can be cut off; see scripts/chaos.mjs. */
export async function netnsStormCluster(nodeTimeoutMs: number, replicas = 1): Promise<StormCluster> {
  const cluster = await NetnsCluster.start(nodeTimeoutMs, replicas, WHOLE_HISTORY)
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
      split: (nodes) => network.split(nodes.map((node) => addressOf(node).host)),
      join: () => network.join(),
      mute: (node, to) => network.mute(addressOf(node).host, addressOf(to).host),
      unmute: (node, to) => network.unmute(addressOf(node).host, addressOf(to).host),
      inside: (node) => network.inside(addressOf(node).host),
    },
    dispose: async (keep) => {
      await cluster.dispose(keep)
      return keep ? cluster.folder : undefined
    },
  }
}
