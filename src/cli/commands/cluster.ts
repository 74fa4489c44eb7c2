import type { Command } from 'commander'
import { registerClusterAddNode } from './cluster-add-node.js'
import { registerClusterBackup } from './cluster-backup.js'
import { registerClusterCertificates } from './cluster-certificates.js'
import { registerClusterCheck } from './cluster-check.js'
import { registerClusterCreate } from './cluster-create.js'
import { registerClusterDrill } from './cluster-drill.js'
import { registerClusterFirewall } from './cluster-firewall.js'
import { registerClusterFix } from './cluster-fix.js'
import { registerClusterRebalance } from './cluster-rebalance.js'
import { registerClusterRemoveNode } from './cluster-remove-node.js'
import { registerClusterRestore } from './cluster-restore.js'
import { registerClusterRollingRestart } from './cluster-rolling-restart.js'
import { registerClusterStatus } from './cluster-status.js'
import { registerClusterStop } from './cluster-stop.js'
import { registerClusterUp } from './cluster-up.js'
import { registerClusterUsers } from './cluster-users.js'

export function registerCluster(program: Command): void {
  const cluster = program
    .command('cluster')
    .description('create, stop, look at, check, mend and drill a Redis Cluster')
  registerClusterUp(cluster)
  registerClusterCreate(cluster)
  registerClusterStop(cluster)
  registerClusterStatus(cluster)
  registerClusterCheck(cluster)
  registerClusterFix(cluster)
  registerClusterAddNode(cluster)
  registerClusterRemoveNode(cluster)
  registerClusterRebalance(cluster)
  registerClusterDrill(cluster)
  registerClusterCertificates(cluster)
  registerClusterUsers(cluster)
  registerClusterFirewall(cluster)
  registerClusterRollingRestart(cluster)
  registerClusterBackup(cluster)
  registerClusterRestore(cluster)
}
