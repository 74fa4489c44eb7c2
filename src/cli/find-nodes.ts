import { type Address, type LinkOptions, localSeeds } from '../cluster/index.js'
import { loadConfig } from '../config/index.js'
import type { ConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'
import { InvalidOptionError } from '../errors.js'
import type { ClusterFlags } from './find-cluster.js'

/**
 * How to connect to what the flags name, running or not: the most particular wins, a node, a data folder, a configuration
 * file; then what lies in the current folder. Credentials are always those of the configuration.
 * @throws InvalidOptionError, ConfigError, DataDirError
 */
export async function findNodes(flags: ClusterFlags): Promise<ConnectionOptions> {
  const { redis } = await loadConfig(flags.config)
  const named = await nodesOf(flags)
  if (!named) return redis
  if (redis.mode === 'cluster') return { ...redis, nodes: named }
  return { mode: 'cluster', nodes: named, ...accessOf(redis) }
}

async function nodesOf(flags: ClusterFlags): Promise<readonly Address[] | null> {
  if (flags.node) return [flags.node]
  const local = flags.config === undefined ? await localSeeds(flags.dataDir) : null
  if (local === null && flags.dataDir !== undefined)
    throw new InvalidOptionError('--data-dir', `${flags.dataDir} holds no cluster`)
  return local
}

/** For the cluster tools, which speak to nodes and know no queue. */
export function seedsOf(connection: ConnectionOptions): { seeds: readonly Address[]; access: LinkOptions } {
  return { seeds: resolveTarget(connection).seeds, access: accessOf(connection) }
}
