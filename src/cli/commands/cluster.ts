import type { Command } from 'commander'
import { registerClusterAddNode } from './cluster-add-node.js'
import { registerClusterCheck } from './cluster-check.js'
import { registerClusterDrill } from './cluster-drill.js'
import { registerClusterFix } from './cluster-fix.js'
import { registerClusterRebalance } from './cluster-rebalance.js'
import { registerClusterRemoveNode } from './cluster-remove-node.js'
import { registerClusterStatus } from './cluster-status.js'
import { registerClusterStop } from './cluster-stop.js'
import { registerClusterUp } from './cluster-up.js'

export function registerCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('create, stop, look at, check, mend and drill a Redis Cluster')
  registerClusterUp(cluster)
  registerClusterStop(cluster)
  registerClusterStatus(cluster)
  registerClusterCheck(cluster)
  registerClusterFix(cluster)
  registerClusterAddNode(cluster)
  registerClusterRemoveNode(cluster)
  registerClusterRebalance(cluster)
  registerClusterDrill(cluster)
}
