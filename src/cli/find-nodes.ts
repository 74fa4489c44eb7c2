import { type Address, accessFor, checkServedHere, type LinkOptions, localTarget } from '../cluster/index.js'
import { loadConfig } from '../config/index.js'
import type { ClusterConnectionOptions, ConnectionOptions } from '../connection/options.js'
import { type Access, accessOf, resolveTarget } from '../connection/target.js'
import { InvalidOptionError } from '../errors.js'
import type { ClusterFlags } from './find-cluster.js'

/**
 * How to connect to what the flags name, running or not: the most particular wins, a node, a data folder, a configuration
 * file; then what lies in the current folder. Credentials are those of the configuration; a local cluster's own are in its
 * data folder.
 * @throws InvalidOptionError, ConfigError, DataDirError
 */
export async function findNodes(flags: ClusterFlags): Promise<ConnectionOptions> {
  const { redis } = await loadConfig(flags.config)
  const local =
    flags.config === undefined || flags.dataDir !== undefined ? await localTarget(flags.dataDir) : null
  if (local === null && flags.dataDir !== undefined)
    throw new InvalidOptionError('--data-dir', `${flags.dataDir} holds no cluster`)
  const nodes = flags.node ? [flags.node] : flags.config === undefined ? local?.seeds : undefined
  if (!nodes) return redis
  if (!flags.node && local) await checkServedHere(flags.dataDir)
  return at(nodes, redis, accessFor(nodes, local, accessOf(redis)))
}

/** The configured connection, but to these nodes. */
export function at(
  nodes: readonly Address[],
  configured: ConnectionOptions,
  access: Access,
): ClusterConnectionOptions {
  if (configured.mode === 'single') return { mode: 'cluster', nodes, ...access }
  const { username: _, password: __, tls: ___, ...rest } = configured
  return { ...rest, nodes, ...access }
}

/** For the cluster tools, which speak to nodes and know no queue. */
export function seedsOf(connection: ConnectionOptions): { seeds: readonly Address[]; access: LinkOptions } {
  return { seeds: resolveTarget(connection).seeds, access: accessOf(connection) }
}
