import { resolve } from 'node:path'
import {
  type Address,
  DEFAULT_DATA_DIR,
  inspectAny,
  isLocal,
  type LinkOptions,
  type LocalCluster,
  localTarget,
  type NodeView,
  openCluster,
} from '../cluster/index.js'
import { loadConfig } from '../config/index.js'
import type { ClusterConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'
import { InvalidOptionError } from '../errors.js'
import { at } from './find-nodes.js'

export interface ClusterFlags {
  readonly config?: string
  readonly node?: Address
  readonly dataDir?: string
}

export interface FoundCluster {
  /** The local one when it is ours, whichever way it was named. */
  readonly cluster: LocalCluster | ClusterConnectionOptions
  /** The master of what was this shard, which may have moved since. */
  nodeOfShard(shard: { readonly master: NodeView }): Promise<Address>
}

/**
 * The cluster that the flags name, the most particular first: a node, a data folder, a configuration file; then what
 * lies in the current folder. @throws InvalidOptionError, ClusterNotReadyError, DataDirError, ConfigError
 */
export async function findCluster(flags: ClusterFlags): Promise<FoundCluster> {
  const { redis } = await loadConfig(flags.config)
  const named = flags.node ? [flags.node] : flags.config === undefined ? null : addressesOf(redis)
  if (await isOurs(flags, named)) {
    const cluster = await openCluster(flags.dataDir)
    if (cluster) return found(cluster, cluster.seeds, cluster.access)
  }
  if (named === null && flags.dataDir !== undefined) {
    throw new InvalidOptionError('--data-dir', `${flags.dataDir} holds no cluster`)
  }
  if (named === null && redis.mode === 'single') {
    throw new InvalidOptionError('--node', 'no cluster here: name one of its nodes, --data-dir, or --config')
  }
  const nodes = named ?? addressesOf(redis)
  const access = accessOf(redis)
  return found(at(nodes, redis, access), nodes, access)
}

/** Whether what was named is the cluster of the data folder, or nothing was named and there is one. */
async function isOurs({ dataDir }: ClusterFlags, named: readonly Address[] | null): Promise<boolean> {
  const local = await localTarget(dataDir)
  return local !== null && (named === null || isLocal(named, local))
}

/** The data folder of the cluster that the flags name, whether all of its nodes run or not; null when it is not ours. */
export async function localDirOf(flags: ClusterFlags): Promise<string | null> {
  const { redis } = await loadConfig(flags.config)
  const named = flags.node ? [flags.node] : flags.config === undefined ? null : resolveTarget(redis).seeds
  return (await isOurs(flags, named)) ? resolve(flags.dataDir ?? DEFAULT_DATA_DIR) : null
}

function addressesOf(redis: Awaited<ReturnType<typeof loadConfig>>['redis']): readonly Address[] {
  if (redis.mode === 'cluster') return redis.nodes
  throw new InvalidOptionError('--config', 'it has redis.mode single; a drill needs a cluster')
}

function found(
  cluster: FoundCluster['cluster'],
  seeds: readonly Address[],
  access: LinkOptions,
): FoundCluster {
  return {
    cluster,
    async nodeOfShard({ master }) {
      const [slot = 0] = master.slots[0] ?? []
      const { nodes } = await inspectAny(seeds, access)
      return nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last)) ?? master
    },
  }
}
