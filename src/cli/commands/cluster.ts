import type { Command } from 'commander'
import { registerClusterStatus } from './cluster-status.js'
import { registerClusterStop } from './cluster-stop.js'
import { registerClusterUp } from './cluster-up.js'

export function registerCluster(program: Command): void {
  const cluster = program.command('cluster').description('create, stop and look at a Redis Cluster')
  registerClusterUp(cluster)
  registerClusterStop(cluster)
  registerClusterStatus(cluster)
}
