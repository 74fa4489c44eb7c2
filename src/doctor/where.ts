import { resolve } from 'node:path'
import type { Ground } from '../check/scene.js'
import { DEFAULT_DATA_DIR, nodePlaces, readManifest } from '../cluster/data-dir.js'
import type { Address, LinkOptions } from '../cluster/link.js'
import { HOST } from '../cluster/ports.js'
import { processFromPidFile } from '../cluster/processes.js'
import { accessFor, isLocal } from '../cluster/security/whom.js'
import { checkServedHere } from '../cluster/served-here.js'
import type { Environment } from '../config/environment.js'
import { findConfigFile } from '../config/file.js'
import { loadConfig } from '../config/index.js'
import type { ConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'
import { ConfigError, InvalidOptionError } from '../errors.js'
import { shellWord } from '../shell.js'

/** What a user may have named. */
export interface WhereOptions {
  readonly node?: Address
  /** The folder of a cluster that `shardq cluster up` has made. */
  readonly dataDir?: string
  /** A configuration file. */
  readonly config?: string
  /** Default `process.env`. */
  readonly env?: Environment
}

export interface Where {
  /** Whence the addresses are, in words. */
  readonly source: string
  readonly addresses: readonly Address[]
  readonly access: LinkOptions
  readonly ground: Ground
  /** What is wrong with the configuration. Then there are addresses only if they were named otherwise. */
  readonly configError: ConfigError | undefined
}

/**
 * Where to look, the most particular first: a node, a data folder, a configuration file; then what lies in the current
 * folder; then the environment; then where `shardq cluster up` puts a cluster. Credentials of a local cluster are in its
 * data folder, all others in the configuration.
 * @throws InvalidOptionError for a data folder without a cluster, DataDirError for a damaged one
 */
export async function whereToLook({
  node,
  dataDir,
  config,
  env = process.env,
}: WhereOptions): Promise<Where> {
  const configured = await readConfiguration(config, env)
  const local = config === undefined || node ? await localCluster(dataDir) : null
  if (dataDir !== undefined && local === null) {
    throw new InvalidOptionError('--data-dir', `${dataDir} holds no cluster`)
  }
  if (local && !node) await checkServedHere(dataDir)
  const { redis, configError } = configured
  const expected = configured.source === null ? undefined : redis?.mode
  const ours = local && (!node || isLocal([node], local)) ? local : null
  const own = redis ? accessOf(redis) : {}
  const common = { access: ours ? accessFor(ours.seeds, ours, own) : own, configError }
  if (node) {
    const ground = { ...ours?.ground, ...(expected ? { expected } : {}) }
    return { ...common, source: 'as you named it', addresses: [node], ground }
  }
  if (ours) return { source: ours.source, addresses: ours.seeds, ground: ours.ground, ...common }
  const source = configured.source ?? 'no configuration, so where `shardq cluster up` puts a cluster'
  const startLocal = configured.source === null ? { startLocal: 'shardq cluster up' } : {}
  return {
    ...common,
    source,
    addresses: redis ? resolveTarget(redis).seeds : [],
    ground: {
      ...startLocal,
      expected,
      ...(configError ? { configFaults: configError.faults } : {}),
    },
  }
}

interface Configured {
  /** Null where nothing is configured, and what comes with shardq holds. */
  readonly source: string | null
  readonly redis?: ConnectionOptions
  readonly configError: ConfigError | undefined
}

async function readConfiguration(config: string | undefined, env: Environment): Promise<Configured> {
  const file = await findConfigFile(config, env)
  const variables = ['SHARDQ_REDIS_NODES', 'SHARDQ_REDIS_URL', 'SHARDQ_REDIS_MODE'].filter(
    (name) => env[name],
  )
  const sources = [...(file === null ? [] : [file]), ...variables]
  const source = sources.length === 0 ? null : sources.join(' and ')
  try {
    const { redis } = await loadConfig(config, env)
    return { source, redis, configError: undefined }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { source: source ?? error.source, configError: error }
  }
}

/** The cluster of a data folder, with what it takes to talk to it and to bring it back. */
async function localCluster(dataDir: string | undefined) {
  const folder = resolve(dataDir ?? DEFAULT_DATA_DIR)
  const manifest = await readManifest(folder)
  if (manifest === null) return null
  const places = nodePlaces(folder, manifest)
  const pids = new Map<number, number>()
  for (const { port, dir } of places) {
    const identity = await processFromPidFile(dir)
    if (identity) pids.set(port, identity.pid)
  }
  const flag = dataDir === undefined ? '' : ` --data-dir ${shellWord(dataDir)}`
  return {
    source: `the cluster in ${folder}`,
    seeds: places.map(({ port }) => ({ host: HOST, port })),
    access: places[0]?.access ?? {},
    ground: { expected: 'cluster' as const, startLocal: `shardq cluster up${flag}`, pids },
  }
}
