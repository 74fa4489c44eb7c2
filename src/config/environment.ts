import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { addressFrom } from '../connection/host.js'
import type { Fault } from './faults.js'
import { didYouMean } from './nearest.js'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * The variables and the setting of `redis` that each replaces. A value that a parser cannot make sense of is
 * passed on as it is, so that the schema finds the fault and names the variable.
 */
const VARIABLES = {
  /** `cluster` or `single`. Left out, SHARDQ_REDIS_URL implies `single` and SHARDQ_REDIS_NODES `cluster`. */
  SHARDQ_REDIS_MODE: ['mode', asText],
  /** `host:port,host:port`, an IPv6 host in brackets. */
  SHARDQ_REDIS_NODES: ['nodes', (text) => list(text).map(asAddress)],
  /** `redis://host:port`, or `rediss://` for TLS. */
  SHARDQ_REDIS_URL: ['url', asText],
  SHARDQ_REDIS_USERNAME: ['username', asText],
  SHARDQ_REDIS_PASSWORD: ['password', asText],
  /** `true` or `false`. */
  SHARDQ_REDIS_TLS: ['tls', asBoolean],
  SHARDQ_REDIS_CONNECTIONS_PER_NODE: ['connectionsPerNode', asNumber],
  SHARDQ_REDIS_COMMAND_TIMEOUT_MS: ['commandTimeoutMs', asNumber],
  SHARDQ_REDIS_CONNECT_TIMEOUT_MS: ['connectTimeoutMs', asNumber],
  /** `master` or `replica`. */
  SHARDQ_REDIS_READ_FROM: ['readFrom', asText],
  /** `announced:port=reachable:port,...`. */
  SHARDQ_REDIS_NAT_MAP: ['natMap', asNatMap],
} satisfies Record<string, [setting: string, parse: (text: string) => unknown]>

/** The settings of `redis.tls`; each of them means TLS. Relative paths begin at the working directory. */
const TLS_VARIABLES = {
  SHARDQ_REDIS_TLS_CA_FILE: ['caFile', resolvePath],
  SHARDQ_REDIS_TLS_CERT_FILE: ['certFile', resolvePath],
  SHARDQ_REDIS_TLS_KEY_FILE: ['keyFile', resolvePath],
  /** The name to look for in certificates, in place of each node's address. */
  SHARDQ_REDIS_TLS_SERVERNAME: ['servername', asText],
} satisfies Record<string, [setting: string, parse: (text: string) => unknown]>

/** A file with the password on its first line, as container platforms mount secrets. */
const PASSWORD_FILE = 'SHARDQ_REDIS_PASSWORD_FILE'
/** Read by the local cluster, not here: where the server's program is. */
const SERVER_PATH = 'SHARDQ_REDIS_PATH'

/** Settings that have no place in the other mode. */
export const SETTINGS_OF_MODE = { cluster: ['nodes', 'readFrom', 'natMap'], single: ['url'] } as const

export interface Overlaid {
  /** The file's content with the variables' values in place. */
  readonly settings: unknown
  /** Which variable a setting came from: `redis.nodes` -> SHARDQ_REDIS_NODES. */
  readonly origins: ReadonlyMap<string, string>
  readonly faults: readonly Fault[]
}

/** Puts the environment's values over the file's. An empty variable counts as unset. */
export async function overlayEnvironment(written: unknown, env: Environment): Promise<Overlaid> {
  const faults: Fault[] = []
  const origins = new Map<string, string>()
  const values: Record<string, unknown> = {}
  for (const [name, [setting, parse]] of Object.entries(VARIABLES)) {
    const text = env[name]
    if (!text) continue
    values[setting] = parse(text)
    origins.set(`redis.${setting}`, name)
  }
  await readPasswordFile(env, values, faults)
  overlayTls(written, env, values, origins, faults)
  reportUnknown(env, faults)
  if (Object.keys(values).length === 0) return { settings: written, origins, faults }

  const root = isMapping(written) ? written : {}
  const redis = isMapping(root.redis) ? { ...root.redis } : {}
  const mode = values.mode ?? ('url' in values ? 'single' : 'nodes' in values ? 'cluster' : undefined)
  if (mode === 'cluster' || mode === 'single') {
    // The variables choose the mode, so the file's settings for the other one are out of play, not faults.
    values.mode = mode
    for (const setting of SETTINGS_OF_MODE[mode === 'cluster' ? 'single' : 'cluster']) delete redis[setting]
  }
  return { settings: { ...root, redis: { ...redis, ...values } }, origins, faults }
}

/** What the variables say of TLS is laid over the file's section, where there is one. */
function overlayTls(
  written: unknown,
  env: Environment,
  values: Record<string, unknown>,
  origins: Map<string, string>,
  faults: Fault[],
): void {
  const given = Object.entries(TLS_VARIABLES).flatMap(([name, [setting, parse]]) => {
    const text = env[name]
    return text ? [{ name, setting, value: parse(text) }] : []
  })
  const redis = isMapping(written) && isMapping(written.redis) ? written.redis : {}
  const section = isMapping(redis.tls) ? redis.tls : undefined
  if (given.length === 0) {
    if (values.tls === true && section) values.tls = section
    return
  }
  if (values.tls === false) {
    const message = `SHARDQ_REDIS_TLS is false, and ${given[0]?.name} is set; unset one of them`
    faults.push({ path: 'SHARDQ_REDIS_TLS', message })
    return
  }
  origins.delete('redis.tls')
  for (const { name, setting } of given) origins.set(`redis.tls.${setting}`, name)
  values.tls = { ...section, ...Object.fromEntries(given.map(({ setting, value }) => [setting, value])) }
}

/** The password of the environment alone, whatever a configuration file says. */
export async function readPassword(
  env: Environment,
): Promise<{ readonly password: string | undefined; readonly faults: readonly Fault[] }> {
  const faults: Fault[] = []
  const values: Record<string, unknown> = env.SHARDQ_REDIS_PASSWORD
    ? { password: env.SHARDQ_REDIS_PASSWORD }
    : {}
  await readPasswordFile(env, values, faults)
  return { password: values.password as string | undefined, faults }
}

async function readPasswordFile(env: Environment, values: Record<string, unknown>, faults: Fault[]) {
  const file = env[PASSWORD_FILE]
  if (!file) return
  if (values.password !== undefined) {
    faults.push({ path: PASSWORD_FILE, message: 'SHARDQ_REDIS_PASSWORD is set too; unset one of them' })
    return
  }
  try {
    const [password = ''] = (await readFile(file, 'utf8')).split(/\r?\n/)
    if (password === '') faults.push({ path: PASSWORD_FILE, message: `the first line of ${file} is empty` })
    values.password = password
  } catch (error) {
    faults.push({
      path: PASSWORD_FILE,
      message: `cannot read ${file} (${(error as NodeJS.ErrnoException).code})`,
    })
  }
}

function reportUnknown(env: Environment, faults: Fault[]): void {
  const known = [...Object.keys(VARIABLES), ...Object.keys(TLS_VARIABLES), PASSWORD_FILE, SERVER_PATH]
  for (const name of Object.keys(env)) {
    if (!name.startsWith('SHARDQ_REDIS_') || known.includes(name)) continue
    faults.push({ path: name, message: `unknown variable${didYouMean(name, known)}` })
  }
}

export function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function asText(text: string): string {
  return text
}

function resolvePath(text: string): string {
  return resolve(text)
}

function asNumber(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text
}

function asBoolean(text: string): unknown {
  if (/^(true|1|yes)$/i.test(text)) return true
  return /^(false|0|no)$/i.test(text) ? false : text
}

function list(text: string): string[] {
  return text.split(',').map((item) => item.trim())
}

function asAddress(text: string): unknown {
  const address = addressFrom(text)
  if (address) return address
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):([^:]*)$/.exec(text) ?? []
  return port === undefined ? text : { host: bracketed ?? plain, port: asNumber(port) }
}

function asNatMap(text: string): unknown {
  const pairs = list(text).map((item) => item.split('='))
  if (pairs.some((pair) => pair.length !== 2)) return text
  return Object.fromEntries(
    pairs.map(([announced = '', reachable = '']) => [announced, asAddress(reachable)]),
  )
}
