import { isLocal as areLocal, localTarget } from '../cluster/index.js'
import type { ClusterFlags } from './find-cluster.js'
import { findNodes, seedsOf } from './find-nodes.js'

/** Whether the flags name the cluster of a data folder on this machine, whose processes and folders are ours. */
export async function isLocal(flags: ClusterFlags): Promise<boolean> {
  const local = await localTarget(flags.dataDir)
  return local !== null && areLocal(seedsOf(await findNodes(flags)).seeds, local)
}
