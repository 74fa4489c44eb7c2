import type { Command } from 'commander'
import { registerClusterBackup } from './cluster-backup.js'
import { registerClusterCheck } from './cluster-check.js'
import { registerClusterDrill } from './cluster-drill.js'
import { registerClusterFix } from './cluster-fix.js'
import { registerClusterRestore } from './cluster-restore.js'
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
  registerClusterDrill(cluster)
  registerClusterBackup(cluster)
  registerClusterRestore(cluster)
}
