import { dirname, resolve } from 'node:path'
import type { ConnectionOptions } from '../connection/options.js'
import { ConfigError } from '../errors.js'
import { type Environment, overlayEnvironment, readPassword } from './environment.js'
import { describeIssues, type Fault } from './faults.js'
import { findConfigFile, readYaml } from './file.js'
import { configSchema } from './schema.js'

export interface Config {
  readonly redis: ConnectionOptions
}

/** What `shardq cluster up` creates. Used where neither a file nor the environment says anything. */
const LOCAL_CLUSTER = {
  mode: 'cluster',
  nodes: [7000, 7001, 7002].map((port) => ({ host: '127.0.0.1', port })),
} as const

/**
 * Reads the configuration: a YAML file, then the SHARDQ_* environment variables (`environment.ts` lists them) on
 * top of it, each replacing the same setting of the file.
 *
 * The file is the first of: `path`; SHARDQ_CONFIG; `config/redis.yaml`; `shardq.yaml` (both relative to the
 * working directory). Without any, the environment alone decides, starting from a cluster on 127.0.0.1:7000-7002.
 *
 * @param env where the variables are read; default `process.env`
 * @throws ConfigError listing every fault with its path in the file (`redis.nodes[1].port`) or the variable's
 *   name. Passwords never appear in it, nor does the part of an address that may hold one.
 */
export async function loadConfig(path?: string, env: Environment = process.env): Promise<Config> {
  const file = await findConfigFile(path, env)
  const written = file === null ? { redis: LOCAL_CLUSTER } : await readYaml(file)
  const { settings, origins, faults } = await overlayEnvironment(written, env)

  const folder = file === null ? process.cwd() : dirname(resolve(file))
  const result = await configSchema(settings, folder).safeParseAsync(settings, { reportInput: true })
  const all: Fault[] = [...faults, ...(result.success ? [] : describeIssues(result.error.issues, origins))]
  if (!result.success || all.length > 0) {
    const source = file === null ? 'environment' : origins.size === 0 ? file : `${file} and environment`
    throw new ConfigError(source, all)
  }
  return result.data
}

/**
 * The password of SHARDQ_REDIS_PASSWORD or SHARDQ_REDIS_PASSWORD_FILE, for what has no configuration file yet.
 * @throws ConfigError when the file cannot be read, or both are set
 */
export async function passwordFrom(env: Environment): Promise<string | undefined> {
  const { password, faults } = await readPassword(env)
  if (faults.length > 0) throw new ConfigError('environment', faults)
  return password
}
