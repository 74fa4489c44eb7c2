import { type Address, localSeeds, nameOf } from '../cluster/index.js'
import type { ClusterFlags } from './find-cluster.js'
import { findNodes, seedsOf } from './find-nodes.js'

/** Whether the flags name the cluster of a data folder on this machine, whose processes and folders are ours. */
export async function isLocal(flags: ClusterFlags): Promise<boolean> {
  const local = await localSeeds(flags.dataDir)
  if (local === null) return false
  const { seeds } = seedsOf(await findNodes(flags))
  const ours = new Set(local.map(nameOf))
  return seeds.every((seed) => ours.has(nameOf(asNumbers(seed))))
}

const asNumbers = ({ host, port }: Address) => ({
  host: ['localhost', '::1'].includes(host) ? '127.0.0.1' : host,
  port,
})
